use super::servers::{
    ECHO, NO_END, ONE_AT_A_TIME, echoes, echoes_much, farewell, left_open, rest,
    start, start_at, start_with_clients, where_it_waits,
};
use super::{Case, Exercise};
use crate::scene::{
    Misconception, Outcome, Peer, Scene, Stop, Thread, Waiting, quote,
};
use lessons::net::State;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

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
        Case::new("an end just before it waits", end_before_waiting),
        Case::new("a connection broken off", broken_off),
        Case::new("a client's process killed", killed),
        Case::new("a quarter of a million bytes", many_bytes),
    ],
};

const NO_PROCESS: Misconception = Misconception {
    name: "no-process",
    expected: "each client is served by a process of its own",
    why: "Clients are served, but not by processes of their own: there are threads, or \
          a loop over all of them. That is a good server too, and another exercise. \
          Here fork is the subject.",
    lesson: "38_fork_server",
};

const FORKS_BEFOREHAND: Misconception = Misconception {
    name: "forks-beforehand",
    expected: "a client's process is started when the client has come",
    why: "The server has processes in store that wait for clients. That saves the time \
          of a fork, and it limits how many clients are served at once: another \
          design, and another exercise. Here accept comes first, then fork.",
    lesson: "38_fork_server",
};

const PARENT_SERVES: Misconception = Misconception {
    name: "parent-serves",
    expected: "the child serves the client, and the parent accepts the next",
    why: "fork returns twice: 0 in the child, the child's number in the parent. Here \
          the parent serves the client and the child goes on accepting. When that \
          client leaves, the process that was started ends, and with it, for whoever \
          started it, the server.",
    lesson: "38_fork_server",
};

const CHILD_KEEPS_CLIENTS: Misconception = Misconception {
    name: "child-keeps-clients",
    expected: "a client's process has that client's connection open, and no other's",
    why: "fork copies every descriptor that is open at that moment, also the \
          connections of other clients. As long as this child lives they cannot end: \
          no FIN is sent before the last copy is closed. Close each connection in the \
          parent before the next fork, or all the others in the child.",
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

const LEAVES_DESCRIPTOR: Misconception = Misconception {
    name: "leaves-descriptor",
    expected: "when clients have come and left the server has no more open than before",
    why: "What was opened for one child, a pidfd or an end of a pipe, stays open until it \
          is closed. So each client costs the server a descriptor, until there are none \
          for accept (EMFILE). Close it when the child has been waited for.",
    lesson: "38_fork_server",
};

const ONE_WAIT_PER_SIGNAL: Misconception = Misconception {
    name: "one-wait-per-signal",
    expected: "when many children end at one moment, all are waited for",
    why: "A signal that is pending already is not kept twice: twenty ends can be one \
          SIGCHLD. Who waits once for each signal leaves the others as zombies. Loop \
          until waitpid with WNOHANG has no more.",
    lesson: "18_sigchld",
};

const SIGNAL_MISSED: Misconception = Misconception {
    name: "signal-missed",
    expected: "a process that has ended is waited for, whenever its end comes",
    why: "The handler only makes a note, and the server looks at it before it waits for \
          a client. If the signal comes between the look and the wait, it interrupts \
          nothing, and the note is read when the next client comes, if ever. Let the \
          handler itself wait for children, or let the signal in only while the server \
          waits (ppoll), or make it something to wait for (a pipe, signalfd). (The \
          check brings the signal at that moment; any machine may do so at any time.)",
    lesson: "18_sigchld",
};

const BLOCKS_IN_WAIT: Misconception = Misconception {
    name: "blocks-in-wait",
    expected: "the server waits for children that have ended, never for one that lives",
    why: "wait, and waitpid without WNOHANG, block as long as there is a child and none \
          has ended. In a loop they block after the last that has, until the next \
          client leaves, and meanwhile the server does not get back to accept. With \
          WNOHANG waitpid returns 0 then.",
    lesson: "18_sigchld",
};

const DIES_OF_EINTR: Misconception = Misconception {
    name: "dies-of-eintr",
    expected: "the server goes on when a signal comes",
    why: "A signal came while the server slept in a call, and the call returned -1 with \
          EINTR. That is no error: nothing has happened to the socket. Call it again. \
          A handler installed with SA_RESTART leaves that to the kernel for accept, \
          but never for poll, select and epoll_wait; and epoll_wait returns it even \
          without a handler, when the process has been stopped and goes on.",
    lesson: "17_eintr",
};

const DIES_OF_ECHILD: Misconception = Misconception {
    name: "dies-of-echild",
    expected: "the server goes on when it has no child any more",
    why: "waitpid returns -1 with ECHILD when there is no child at all. In a loop that \
          waits for all that have ended this is one of the two ways to be done; the \
          other is 0, when there are children that live.",
    lesson: "18_sigchld",
};

const DIES_OF_CHILD: Misconception = Misconception {
    name: "dies-of-child",
    expected: "the server goes on, however a child has ended",
    why: "A child's bad end, by a signal or with another status than 0, is the end of \
          its client's connection and of nothing else. That processes do not share \
          their fate is what they are good for.",
    lesson: "38_fork_server",
};

fn end_of_a_client(scene: &mut Scene) -> Outcome {
    let server = begin(scene)?;
    let clients = served(scene, server, 2)?;
    let handles = scene.catches(Signal::SIGCHLD);
    let said = "hello\nand goodbye\n";
    scene.say(clients[1], "\nand goodbye\n");
    farewell(scene, clients[1], said, |scene| no_end(scene, server, clients[1]))?;
    // The other one's child lives, so it cannot be that there was none to wait for.
    match rest(scene, "a client left and its process ended") {
        Err(stop) if handles && scene.exit().is_some() => {
            return Err(DIES_OF_EINTR.same_as(&stop));
        }
        rests => rests?,
    }
    nothing_is_left(scene, &clients[..1], "a client has left")?;
    if !echoes(scene, clients[0], "still here")? {
        let seen = where_it_waits(scene, server, clients[0]);
        return Err(ECHO.seen(format!("another client left, and now {seen}")));
    }
    next_is_served(scene, server, "a client has left")?;
    let said = scene.heard_text(clients[0]);
    farewell(scene, clients[0], &said, |scene| no_end(scene, server, clients[0]))
}

fn clients_that_stay(scene: &mut Scene) -> Outcome {
    // It can accept all of them before it forks.
    let (server, clients) = start_with_clients(scene, &[], 5)?;
    for (number, &client) in clients.iter().enumerate().rev() {
        answered(scene, server, client, &format!("client {number} of 5"))?;
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

/// The server does not run while they end, so the signals become one.
fn many_ends(scene: &mut Scene) -> Outcome {
    const CLIENTS: usize = 12;
    let server = begin(scene)?;
    let clients = served(scene, server, CLIENTS)?;
    each_has_its_own(scene, server, &clients)?;
    let program = scene.program();
    // To be stopped is not what this is about, but it is what it takes.
    scene.pause(program)?;
    scene.resume(program);
    match rest(scene, "the server was stopped and continued (as by Ctrl-Z and fg)") {
        Err(stop) if scene.exit().is_some() => {
            return Err(DIES_OF_EINTR.same_as(&stop));
        }
        rests => rests?,
    }
    scene.pause(program)?;
    clients.iter().for_each(|&client| scene.shut(client));
    scene.wait(|s| s.others().is_empty())?;
    let ended = CLIENTS - scene.others().len();
    scene.resume(program);
    let what = format!("{ended} children ended at one moment");
    match rest(scene, &what) {
        Err(stop) if scene.exit().is_some() && names_echild(scene) => {
            return Err(DIES_OF_ECHILD.same_as(&stop));
        }
        rests => rests?,
    }
    let zombies = scene.zombies().len();
    if (1..ended).contains(&zombies) {
        return Err(ONE_WAIT_PER_SIGNAL
            .seen(format!("{what}, and {zombies} of them are still zombies")));
    }
    nothing_is_left(scene, &[], "all clients have left")?;
    // What is kept to be used again is there by now.
    let before = scene.descriptors(program).len();
    for _ in 0..2 {
        let next = next_is_served(scene, server, "all clients have left")?;
        farewell(scene, next, "and I?", |scene| no_end(scene, server, next))?;
        rest(scene, "one more client came and left")?;
    }
    match left_open(scene, before, "two more clients") {
        Some(seen) => Err(LEAVES_DESCRIPTOR.seen(seen)),
        None => Ok(()),
    }
}

/// The signal comes when the server is about to wait for a client, and does not yet.
fn end_before_waiting(scene: &mut Scene) -> Outcome {
    let server = begin(scene)?;
    let clients = served(scene, server, 2)?;
    let mut serving: Vec<i32> =
        processes_with(scene, clients[1]).into_iter().collect();
    serving.retain(|&pid| pid != scene.program());
    scene.before_it_sleeps(|scene| {
        scene.shut(clients[1]);
        scene.wait_for_ends(&serving)
    })?;
    let what = "a process ended at the moment before the server waited for a client";
    rest(scene, what)?;
    match scene.zombies().len() {
        0 => nothing_is_left(scene, &clients[..1], what)?,
        _ => {
            let seen = format!("{what}; it is a zombie, and {}", scene.doing());
            return Err(SIGNAL_MISSED.seen(seen));
        }
    }
    next_is_served(scene, server, what).map(drop)
}

fn broken_off(scene: &mut Scene) -> Outcome {
    let server = begin(scene)?;
    let clients = served(scene, server, 2)?;
    scene.break_off(clients[0]);
    let what = "a client has broken its connection off";
    rest(scene, what)?;
    nothing_is_left(scene, &clients[1..], what)?;
    // This one is gone before the server has accepted it.
    let program = scene.program();
    scene.pause(program)?;
    let gone = scene.connect(server)?;
    scene.break_off(gone);
    scene.resume(program);
    let what = "a client has come and broken its connection off at once";
    rest(scene, what)?;
    nothing_is_left(scene, &clients[1..], what)?;
    if !echoes(scene, clients[1], "still here\n")? {
        let seen = where_it_waits(scene, server, clients[1]);
        return Err(ECHO.seen(format!("{what}, and of another one: {seen}")));
    }
    next_is_served(scene, server, what).map(drop)
}

fn killed(scene: &mut Scene) -> Outcome {
    let server = begin(scene)?;
    let clients = served(scene, server, 2)?;
    each_has_its_own(scene, server, &clients)?;
    for (pid, _) in scene.holders_of(clients[0]) {
        scene.signal(pid, Signal::SIGKILL);
    }
    let what = "a client's process has been killed (SIGKILL)";
    match rest(scene, what) {
        Err(stop) if scene.exit().is_some() => {
            return Err(DIES_OF_CHILD.same_as(&stop));
        }
        rests => rests?,
    }
    nothing_is_left(scene, &clients[1..], what)?;
    next_is_served(scene, server, what).map(drop)
}

fn many_bytes(scene: &mut Scene) -> Outcome {
    // Not the address that everybody takes.
    let server = start_at(scene, Ipv4Addr::new(127, 0, 0, 2), &[])?;
    let client = scene.connect(server)?;
    let said = echoes_much(scene, server, client)?;
    farewell(scene, client, &said, |scene| no_end(scene, server, client))?;
    rest(scene, "a client has left")?;
    nothing_is_left(scene, &[], "a client has left")
}

/// Starts the server. Nobody has come yet: it sleeps, and is alone.
fn begin(scene: &mut Scene) -> Result<SocketAddr, Stop> {
    let server = start(scene, &[])?;
    rest(scene, "the start, without any client")?;
    match scene.others().len() {
        0 => Ok(server),
        n => Err(FORKS_BEFOREHAND.seen(format!(
            "no client has come yet, and there is not only the server ({n} more): {}",
            scene.doing_all()
        ))),
    }
}

/// So many clients come, one after the other. Each says hello and gets that back, from another
/// process than the server.
fn served(
    scene: &mut Scene,
    server: SocketAddr,
    count: usize,
) -> Result<Vec<Peer>, Stop> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let client = scene.connect(server)?;
        // Not a line: a line may end later, or never.
        answered(scene, server, client, "hello")?;
        clients.push(client);
    }
    rest(scene, "some clients came and spoke")?;
    for &client in &clients {
        if scene.end_of(client).is_some() {
            return Err(ECHO.seen(
                "a client was answered, and then its connection was closed; it had not \
                 sent its end yet, and wanted to say more",
            ));
        }
        let holders = scene.holders_of(client);
        if holders.iter().any(|&(pid, _)| pid != scene.program()) {
            continue;
        }
        let listening = scene.holders_of_listener(server);
        if listening.iter().any(|&(pid, _)| pid != scene.program()) {
            return Err(PARENT_SERVES.seen(format!(
                "a client's connection is open in the server alone, and the listening \
                 socket in its child; {}",
                scene.doing_all()
            )));
        }
        return Err(served_by_itself(scene));
    }
    Ok(clients)
}

/// A client speaks. It must be answered.
fn answered(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
    text: &str,
) -> Outcome {
    match echoes(scene, client, text)? {
        true => Ok(()),
        false => Err(unanswered(scene, server, client)),
    }
}

/// Some client has gone, in whatever way. One that comes now must be served.
fn next_is_served(
    scene: &mut Scene,
    server: SocketAddr,
    what: &str,
) -> Result<Peer, Stop> {
    let next = scene.connect(server)?;
    if echoes(scene, next, "and I?")? {
        return Ok(next);
    }
    let waits = |thread: &Thread| matches!(thread.waiting, Waiting::Child(_));
    if scene.not_accepted(server) > 0 && scene.threads().iter().any(waits) {
        return Err(BLOCKS_IN_WAIT.seen(format!(
            "{what}, another one lives; the next is connected, but accepted by nobody: {}",
            scene.doing()
        )));
    }
    Err(unanswered(scene, server, next))
}

/// Its last words say that there was no child.
fn names_echild(scene: &Scene) -> bool {
    let err = scene.err();
    // Its number, its name, and what strerror(3) says.
    ["os error 10)", "ECHILD", "No child process"]
        .iter()
        .any(|name| err.contains(name))
}

/// A client has spoken, and is not answered.
fn unanswered(scene: &Scene, server: SocketAddr, client: Peer) -> Stop {
    let seen = where_it_waits(scene, server, client);
    if scene.not_accepted(server) > 0 {
        let seen = format!("a client spoke and is not answered: {seen}");
        return ONE_AT_A_TIME.seen(seen);
    }
    let closed = scene.end_of(client).is_some();
    let heard = match scene.heard_text(client) {
        heard if heard.is_empty() => "nothing".to_owned(),
        heard => quote(&heard),
    };
    match closed {
        true => ECHO.seen(format!(
            "a client spoke and heard {heard} before the server closed the connection; \
             it had not sent its end yet"
        )),
        false => {
            ECHO.seen(format!("what a client said does not come back: {seen}"))
        }
    }
}

/// All is at rest. What has each process open?
fn each_has_its_own(scene: &Scene, server: SocketAddr, clients: &[Peer]) -> Outcome {
    let program = scene.program();
    let holders: Vec<BTreeSet<i32>> =
        clients.iter().map(|&client| processes_with(scene, client)).collect();
    let count = clients.len();
    if holders.iter().flatten().all(|&pid| pid == program) {
        return Err(served_by_itself(scene));
    }
    let kept = holders.iter().flatten().filter(|&&pid| pid == program).count();
    if kept > 0 {
        return Err(PARENT_KEEPS_CLIENT.seen(format!(
            "{count} clients are served by other processes, and the server itself still \
             has the connections of {kept} open"
        )));
    }
    let mut listening = scene.holders_of_listener(server);
    listening.retain(|&(pid, _)| pid != program);
    if let Some((_, fd)) = listening.first() {
        return Err(CHILD_KEEPS_LISTENER.seen(format!(
            "in a client's process descriptor {fd} is the listening socket"
        )));
    }
    let serving: BTreeSet<i32> = holders.iter().flatten().copied().collect();
    if serving.len() < count {
        return Err(NO_PROCESS.seen(format!(
            "the connections of {count} clients are open in {} processes",
            serving.len()
        )));
    }
    let of = |pid: i32| holders.iter().filter(|all| all.contains(&pid)).count();
    match serving.into_iter().map(of).max() {
        Some(most @ 2..) => Err(CHILD_KEEPS_CLIENTS.seen(format!(
            "{count} clients had come before the server accepted the first; a client's \
             process has the connections of {most} open"
        ))),
        _ => Ok(()),
    }
}

/// The processes that have this connection open, by however many descriptors.
fn processes_with(scene: &Scene, client: Peer) -> BTreeSet<i32> {
    scene.holders_of(client).into_iter().map(|(pid, _)| pid).collect()
}

fn served_by_itself(scene: &Scene) -> Stop {
    NO_PROCESS.seen(format!(
        "a client is served, and nobody but the server itself has its connection open: \
         {}",
        scene.doing_all()
    ))
}

fn accepts(scene: &Scene, pid: i32) -> bool {
    scene.threads_of(pid).iter().any(|thread| thread.waiting == Waiting::Accept)
}

/// After `what` these clients are still there; nothing may be left of the others.
fn nothing_is_left(scene: &mut Scene, clients: &[Peer], what: &str) -> Outcome {
    match scene.zombies().len() {
        0 => {}
        1 => {
            return Err(LEAVES_ZOMBIE.seen(format!(
                "{what}; its process has ended and is a zombie, and the server: {}",
                scene.doing()
            )));
        }
        n => {
            return Err(LEAVES_ZOMBIE.seen(format!(
                "{what}; {n} children of the server are zombies, and the server: {}",
                scene.doing()
            )));
        }
    }
    let others = scene.others();
    if others.len() > clients.len() {
        let does = match others.iter().any(|&pid| accepts(scene, pid)) {
            true => "waits in accept, as the server does",
            false => "lives on",
        };
        return Err(CHILD_GOES_ON
            .seen(format!("{what}, and the process that served it {does}")));
    }
    let program = scene.program();
    let sockets = scene.tcp_sockets(program);
    if sockets.iter().any(|(_, socket)| socket.state != State::Listen) {
        return Err(PARENT_KEEPS_CLIENT.seen(format!(
            "{what}, and the server still has a descriptor of its connection"
        )));
    }
    Ok(())
}

/// The client has sent its end and waits for the server's.
fn no_end(scene: &mut Scene, server: SocketAddr, client: Peer) -> Stop {
    let program = scene.program();
    let own = scene.descriptors_of(program, client);
    let served = processes_with(scene, client).iter().any(|&pid| pid != program);
    match own.first() {
        Some(fd) if !served => PARENT_KEEPS_CLIENT.hung(format!(
            "the client's process has closed the connection; the server has not, its \
             descriptor {fd} is a copy; the client waits for the end"
        )),
        _ => {
            let seen = where_it_waits(scene, server, client);
            NO_END.hung(format!("a client has sent its end and waits: {seen}"))
        }
    }
}
