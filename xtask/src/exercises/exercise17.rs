use super::servers::{ECHO, NO_END, ONE_AT_A_TIME, connect, echoes, echoes_much, farewell, rest, start, where_it_waits};
use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Peer, Scene, Stop, Waiting};
use lessons::net::State;
use nix::sys::signal::Signal;
use std::net::SocketAddr;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise17",
    title: "A fork echo server",
    lesson: "38_fork_server",
    hints: &[
        "fork copies the table of descriptors. After it there are two copies of the \
         listening socket and two of the connection: four ends in two processes. \
         Which two are needed, and which two have to be closed?",
        "The child: closes the listening socket, echoes, ends (_exit). The parent: \
         closes the connection and goes back to accept. If the child does not end \
         after its client, it falls back into the loop and accepts like its parent.",
        "A child that has ended is a zombie until somebody waits for it, and the \
         parent sleeps in accept. So a handler for SIGCHLD does it: `while \
         waitpid(-1, WNOHANG) > 0`, in a loop, because one signal may stand for many \
         ends. Or SIGCHLD is set to SIG_IGN, if nobody wants the statuses.",
        "The handler interrupts accept: -1 with EINTR, which is no error. With \
         SA_RESTART the kernel calls accept again, and std's `accept` does so itself. \
         In Rust `drop(listener)` in the child and `drop(client)` in the parent are \
         the two closes; `unsafe { libc::_exit(0) }` ends the child.",
    ],
    cases: &[
        Case::new("the end of a client", end_of_a_client),
        Case::new("clients that stay", clients_that_stay),
        Case::new("many ends at one moment", many_ends),
        Case::new("a connection broken off", broken_off),
        Case::new("a quarter of a million bytes", many_bytes),
    ],
};

const NO_PROCESS: Misconception = Misconception {
    name: "no-process",
    expected: "each client is served by a process of its own",
    why: "The clients are served, but by the server's own process: a thread, or a \
          loop over all of them. That is a good server too, and another exercise. \
          Here fork is the subject.",
    lesson: "38_fork_server",
};

const PARENT_KEEPS_CLIENT: Misconception = Misconception {
    name: "parent-keeps-client",
    expected: "the server has closed its copy of each client's connection",
    why: "fork has copied the descriptor, so the connection has two. When the child \
          closes its own one is left, so no FIN is sent and the client waits for \
          ever; and each client costs the server a descriptor, until there are none.",
    lesson: "38_fork_server",
};

const CHILD_KEEPS_LISTENER: Misconception = Misconception {
    name: "child-keeps-listener",
    expected: "a client's process has its connection open, and no other socket",
    why: "The child has inherited the listening socket. As long as one child lives \
          the port stays taken, whatever happens to the server: it cannot be \
          started again, and new clients end in a queue that nobody serves.",
    lesson: "38_fork_server",
};

const CHILD_GOES_ON: Misconception = Misconception {
    name: "child-goes-on",
    expected: "a client's process ends when the client has sent its last",
    why: "After its client the child is still in the middle of the same loop as its \
          parent, and goes on with it: it accepts, and forks. It has to end there: \
          _exit, or a return that leaves main.",
    lesson: "38_fork_server",
};

const LEAVES_ZOMBIE: Misconception = Misconception {
    name: "leaves-zombie",
    expected: "nothing is left of a client's process once it has ended",
    why: "A child that has ended stays in the table of processes until its parent has \
          waited for it. The server sleeps in accept; to look after the next accept \
          is too late, because a next client may never come. SIGCHLD says when.",
    lesson: "18_sigchld",
};

const ONE_WAIT_PER_SIGNAL: Misconception = Misconception {
    name: "one-wait-per-signal",
    expected: "when many children end at one moment, all are waited for",
    why: "A signal that is pending already is not kept twice: twenty ends can be one \
          SIGCHLD. Who waits once for each signal leaves the others as zombies. Loop \
          until waitpid with WNOHANG has no more.",
    lesson: "18_sigchld",
};

const DIES_OF_EINTR: Misconception = Misconception {
    name: "dies-of-eintr",
    expected: "the server goes on when a child ends",
    why: "SIGCHLD came while the server slept in accept; the handler ran and accept \
          returned -1 with EINTR. That is no error: nothing has happened to the \
          socket. Call it again, or install the handler with SA_RESTART.",
    lesson: "17_eintr",
};

fn clients_that_stay(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let clients = connect(scene, server, 5)?;
    for (number, &client) in clients.iter().enumerate().rev() {
        let text = format!("client {number} of 5\n");
        if !echoes(scene, client, &text)? {
            return Err(unanswered(scene, server, client));
        }
    }
    rest(scene, "five clients came and spoke")?;
    each_has_its_own(scene, server, &clients)?;
    for (number, &client) in clients.iter().enumerate() {
        if !echoes(scene, client, "once more\n")? {
            let seen = where_it_waits(scene, server, client);
            return Err(ECHO.seen(format!(
                "client {number} was answered once; when it spoke again, no more: {seen}"
            )));
        }
    }
    Ok(())
}

fn end_of_a_client(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let clients = connect(scene, server, 2)?;
    for &client in &clients {
        if !echoes(scene, client, "hello\n")? {
            return Err(unanswered(scene, server, client));
        }
    }
    if scene.others().is_empty() {
        return Err(no_process(clients.len()));
    }
    let handles = scene.catches(Signal::SIGCHLD);
    let said = "hello\nand goodbye\n";
    scene.say(clients[1], "and goodbye\n");
    farewell(scene, clients[1], said, |scene| no_end(scene, server, clients[1]))?;
    survives(scene, handles, "a client left and its process ended")?;
    nothing_is_left(scene, &clients[..1])?;
    if !echoes(scene, clients[0], "still here\n")? {
        let seen = where_it_waits(scene, server, clients[0]);
        return Err(ECHO.seen(format!("another client left, and now {seen}")));
    }
    let said = scene.heard_text(clients[0]);
    farewell(scene, clients[0], &said, |scene| no_end(scene, server, clients[0]))
}

/// The server does not run while they end, so the signals become one.
fn many_ends(scene: &mut Scene) -> Outcome {
    const CLIENTS: usize = 12;
    let server = start(scene, &[])?;
    let clients = connect(scene, server, CLIENTS)?;
    for &client in &clients {
        if !echoes(scene, client, "hello\n")? {
            return Err(unanswered(scene, server, client));
        }
    }
    rest(scene, "twelve clients came and spoke")?;
    each_has_its_own(scene, server, &clients)?;
    let handles = scene.catches(Signal::SIGCHLD);
    let program = scene.program();
    scene.pause(program)?;
    clients.iter().for_each(|&client| scene.shut(client));
    scene.wait(|s| s.others().is_empty())?;
    let ended = CLIENTS - scene.others().len();
    scene.resume(program);
    let what = format!("{ended} children ended at one moment");
    survives(scene, handles, &what)?;
    let zombies = scene.zombies().len();
    if (1..ended).contains(&zombies) {
        return Err(ONE_WAIT_PER_SIGNAL
            .seen(format!("{what}, and {zombies} of them are still zombies")));
    }
    nothing_is_left(scene, &[])?;
    let next = scene.connect(server)?;
    match echoes(scene, next, "and another one\n")? {
        true => Ok(()),
        false => Err(unanswered(scene, server, next)),
    }
}

fn broken_off(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let clients = connect(scene, server, 2)?;
    for &client in &clients {
        if !echoes(scene, client, "hello\n")? {
            return Err(unanswered(scene, server, client));
        }
    }
    scene.break_off(clients[0]);
    rest(scene, "a client broke its connection off")?;
    nothing_is_left(scene, &clients[1..])?;
    // This one is gone before anybody has said a word to it.
    let gone = scene.connect(server)?;
    scene.break_off(gone);
    rest(scene, "a client came and broke its connection off at once")?;
    nothing_is_left(scene, &clients[1..])?;
    let next = scene.connect(server)?;
    for client in [clients[1], next] {
        if !echoes(scene, client, "still here\n")? {
            let seen = where_it_waits(scene, server, client);
            return Err(ECHO.seen(format!("after a connection was broken off {seen}")));
        }
    }
    Ok(())
}

fn many_bytes(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let client = scene.connect(server)?;
    let said = echoes_much(scene, server, client)?;
    farewell(scene, client, &said, |scene| no_end(scene, server, client))?;
    rest(scene, "a client left")?;
    nothing_is_left(scene, &[])
}

/// A child has ended. The server, which had a handler for SIGCHLD or not, must go on, and sleep.
fn survives(scene: &mut Scene, handles: bool, what: &str) -> Outcome {
    let rests = rest(scene, what);
    match rests {
        Err(stop) if handles && scene.exit().is_some() => {
            Err(DIES_OF_EINTR.same_as(&stop))
        }
        rests => rests,
    }
}

/// A client has spoken, and is not answered.
fn unanswered(scene: &Scene, server: SocketAddr, client: Peer) -> Stop {
    let seen = where_it_waits(scene, server, client);
    let waiting = scene.not_accepted(server);
    if waiting > 0 {
        let seen = format!("a client spoke and is not answered: {seen}");
        return ONE_AT_A_TIME.seen(seen);
    }
    ECHO.seen(format!("what a client said does not come back: {seen}"))
}

/// All is at rest. What has each process open?
fn each_has_its_own(scene: &Scene, server: SocketAddr, clients: &[Peer]) -> Outcome {
    let program = scene.program();
    let holders: Vec<Vec<i32>> = clients
        .iter()
        .map(|&client| scene.holders_of(client).into_iter().map(|(pid, _)| pid).collect())
        .collect();
    let count = clients.len();
    if holders.iter().flatten().all(|&pid| pid == program) {
        return Err(no_process(count));
    }
    let mut listening = scene.holders_of_listener(server);
    listening.retain(|&(pid, _)| pid != program);
    let kept = holders.iter().flatten().filter(|&&pid| pid == program).count();
    if kept > 0 {
        return Err(PARENT_KEEPS_CLIENT.seen(format!(
            "{count} clients are served by other processes, and the server itself still \
             has {kept} descriptors of their connections"
        )));
    }
    if let Some((_, fd)) = listening.first() {
        return Err(CHILD_KEEPS_LISTENER.seen(format!(
            "in a client's process descriptor {fd} is the listening socket"
        )));
    }
    let mut serving = holders.concat();
    serving.sort_unstable();
    serving.dedup();
    if serving.len() < count {
        return Err(NO_PROCESS.seen(format!(
            "{} processes have the connections of {count} clients",
            serving.len()
        )));
    }
    Ok(())
}

fn no_process(clients: usize) -> Stop {
    NO_PROCESS.seen(format!(
        "{clients} clients are served, and the only process is the server itself"
    ))
}

fn accepts(scene: &Scene, pid: i32) -> bool {
    scene.threads_of(pid).iter().any(|thread| thread.waiting == Waiting::Accept)
}

/// These clients are still there; nothing may be left of the others.
fn nothing_is_left(scene: &mut Scene, clients: &[Peer]) -> Outcome {
    let zombies = scene.zombies().len();
    if zombies > 0 {
        return Err(LEAVES_ZOMBIE.seen(format!(
            "a client has left; {zombies} child of the server is a zombie, and the \
             server: {}",
            scene.doing()
        )));
    }
    let others = scene.others();
    if others.len() > clients.len() {
        let what = if others.iter().any(|&pid| accepts(scene, pid)) { "waits in accept, as the server does" } else { "lives on" };
        return Err(CHILD_GOES_ON
            .seen(format!("a client has left, and the process that served it {what}")));
    }
    let program = scene.program();
    let sockets = scene.tcp_sockets(program);
    if sockets.iter().any(|(_, socket)| socket.state != State::Listen) {
        return Err(PARENT_KEEPS_CLIENT.seen(
            "a client has left, and the server still has a descriptor of its connection",
        ));
    }
    Ok(())
}

/// The client has sent its end and waits for the server's.
fn no_end(scene: &mut Scene, server: SocketAddr, client: Peer) -> Stop {
    let program = scene.program();
    let (own, others) = (scene.descriptors_of(program, client), scene.others());
    let served = others.iter().any(|&pid| !scene.descriptors_of(pid, client).is_empty());
    let seen = where_it_waits(scene, server, client);
    match own.first() {
        Some(fd) if !served => PARENT_KEEPS_CLIENT.hung(format!(
            "the client's process has closed the connection; the server has not, its \
             descriptor {fd} is a copy; the client waits for the end"
        )),
        _ => NO_END.hung(format!("a client has sent its end and waits: {seen}")),
    }
}
