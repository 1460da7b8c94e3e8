use super::servers::{
    ECHO, ENDS, NO_END, ONE_AT_A_TIME, connect, echoes, farewell, left_open, rest,
    sockets, start, where_it_waits,
};
use super::{Case, Exercise};
use crate::cage::Report;
use crate::judge::Status;
use crate::scene::{End, Misconception, Outcome, Peer, Scene, Stop, Waiting};
use lessons::proc::{self, Bytes, Watched};
use std::net::SocketAddr;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise20",
    title: "An edge-triggered echo server, 1 MiB each way",
    lesson: "44_epoll_server",
    hints: &[
        "Edge triggered (EPOLLET) means: told when something changes, not while \
         something is there. After an event: how long do you have to accept, to read, \
         to write, before you may sleep again? And which descriptors must not block \
         for that?",
        "Until EAGAIN, each of the three. A write that takes a part, or nothing, leaves \
         a rest: keep it with the client. While there is a rest read no more from that \
         client: what it sends stays in the kernel, and TCP holds it back.",
        "When EPOLLOUT says that there is room again, send the rest and then read on, \
         although no EPOLLIN comes: what is unread was there before, and is no change. \
         So one function does it all, whatever the event: send the rest; if none is \
         left, read; and again, until one of both says EAGAIN.",
        "A client is a stream, a buffer, two numbers (what of the buffer is filled, and \
         what of that is sent), and whether it has ended. Watch it for EPOLLIN | \
         EPOLLOUT | EPOLLET from the start, so nothing ever has to be changed. It is \
         closed when it has ended and its rest is sent, or on any error.",
    ],
    cases: &[
        Case::new("several things, one event", one_event),
        Case::new("a client that does not read", deaf),
        Case::new("the end comes before the answer is read", end_comes_first),
        Case::new("a connection broken off", broken_off),
        Case::new("memory", memory),
        Case::new("many clients, 1 MiB each way", many),
    ],
};

const MIB: usize = 1 << 20;
/// The buffers of a client that reads slowly: they are full soon.
const SMALL: usize = 16 << 10;

const NO_EPOLL: Misconception = Misconception {
    name: "no-epoll",
    expected: "the server sleeps in epoll_wait, and epoll watches its connections",
    why: "The clients are served, but by other means: poll, select, threads. Those are \
          good servers too, and other exercises. Here edge-triggered epoll is the \
          subject.",
    lesson: "44_epoll_server",
};

const MORE_THREADS: Misconception = Misconception {
    name: "more-than-one-thread",
    expected: "one thread, in one process, serves all",
    why: "Readiness makes one thread enough: it is told who has something to say, and \
          never waits for one of them. Threads or processes beside it are another \
          kind of server.",
    lesson: "44_epoll_server",
};

const LEVEL: Misconception = Misconception {
    name: "level-triggered",
    expected: "the connections are watched with EPOLLET",
    why: "Without EPOLLET epoll tells again and again what is still there. That is \
          easier, and another exercise: here each change is told once. (EPOLLONESHOT \
          is not EPOLLET either: it disarms, and has to be armed again.)",
    lesson: "43_epoll",
};

const BLOCKING: Misconception = Misconception {
    name: "blocking-descriptor",
    expected: "the server sleeps in epoll_wait and nowhere else",
    why: "It accepts, reads or writes until EAGAIN, and on a descriptor that blocks \
          there is no EAGAIN: the last call sleeps, with all clients waiting. Make \
          the listening socket and each connection non-blocking; accept does not hand \
          the one on to the other.",
    lesson: "37_nonblocking",
};

const WAITS_FOR_ONE: Misconception = Misconception {
    name: "waits-for-one-client",
    expected: "a client that does not read keeps nobody else waiting",
    why: "There was no room for a client's answer, and the server waits for just that. \
          Keep the rest with the client, go back to epoll_wait, and go on with it \
          when EPOLLOUT comes.",
    lesson: "44_epoll_server",
};

const ACCEPTS_ONCE: Misconception = Misconception {
    name: "accepts-once",
    expected: "all clients in the queue are accepted at one event",
    why: "Several came before the server looked, and that was one change, one event. \
          It accepted one and went back to sleep; the others wait until a next one \
          comes, and then again one is too few. Accept until EAGAIN.",
    lesson: "44_epoll_server",
};

const READS_ONCE: Misconception = Misconception {
    name: "reads-once",
    expected: "all that has come is read at one event, up to the end",
    why: "The event says that something has come, not how much. With EPOLLET the rest \
          is not told again: it was there before, so it is no change. The end, which \
          is a read of 0, counts as well. Read until EAGAIN.",
    lesson: "43_epoll",
};

const LOSES_REST: Misconception = Misconception {
    name: "loses-the-rest",
    expected: "what a write did not take is sent when there is room again",
    why: "A write takes what there is room for and says how much that was, or EAGAIN. \
          The rest is not sent by anybody else. Keep it with the client, ask for \
          EPOLLOUT, and send it at that event.",
    lesson: "44_epoll_server",
};

const NEVER_RESUMES: Misconception = Misconception {
    name: "never-reads-on",
    expected: "when the rest is sent the server reads on",
    why: "To stop reading while an answer cannot be sent is right. But no EPOLLIN will \
          say when to go on: what is unread was told once already. When the rest is \
          sent, read again until EAGAIN, without being asked.",
    lesson: "44_epoll_server",
};

const CLOSES_EARLY: Misconception = Misconception {
    name: "closes-too-early",
    expected: "a client that has sent its end still gets all that is left, and then the end",
    why: "A read of 0 says that the client sends no more; it still reads. There was a \
          rest that no write had taken, and closing has thrown it away. Note the end, \
          send the rest, then close.",
    lesson: "29_shutdown",
};

const LEAKS: Misconception = Misconception {
    name: "leaks-descriptor",
    expected: "the server has no descriptor of a client that has gone",
    why: "An error of read or write is the end of that connection, and so is EPOLLHUP. \
          Whoever keeps the descriptor then has some more each time, until accept has \
          none left (EMFILE). Close it, and whatever else was opened for the client, and \
          forget the client.",
    lesson: "37_nonblocking",
};

const UNBOUNDED: Misconception = Misconception {
    name: "memory-without-bound",
    expected: "a client that sends and does not read costs little memory",
    why: "The server reads on although it cannot send, and keeps it all: any client \
          can fill its memory. While there is a rest, do not read from that client. \
          Its data then fills the buffers of the kernel, and TCP makes it wait. And \
          what each client has in the server need not be larger than some KiB.",
    lesson: "44_epoll_server",
};

/// The server does not run while they come, so what they do is one change.
fn one_event(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    rest(scene, "the start")?;
    let mut clients = while_paused(scene, |scene| connect(scene, server, 4))?;
    for (number, &client) in clients.iter().enumerate().rev() {
        if !echoes(scene, client, &format!("client {number} of 4\n"))? {
            return Err(unanswered(scene, server, client));
        }
    }
    survives(scene, "four clients came and spoke")?;
    by_epoll(scene, &clients)?;
    let open = sockets(scene);
    // The end alone.
    let leaves = clients.remove(0);
    let all = scene.heard_text(leaves);
    farewell(scene, leaves, &all, |scene| {
        no_end(scene, server, leaves, "its end, some time after its words", NO_END)
    })?;
    let said = text(48 << 10);
    while_paused(scene, |scene| {
        clients.iter().for_each(|&client| scene.say(client, &said));
        Ok(())
    })?;
    for &client in &clients {
        let all = "client 0 of 4\n".len() + said.len();
        scene.wait_to_hear(client, all)?;
        if scene.heard(client).len() < all {
            return Err(unanswered(scene, server, client));
        }
    }
    // Its last words and its end at once.
    while_paused(scene, |scene| {
        for &client in &clients {
            scene.say(client, "bye\n");
            scene.shut(client);
        }
        Ok(())
    })?;
    for (number, &client) in (1..).zip(&clients) {
        let all = format!("client {number} of 4\n{said}bye\n");
        is_complete(
            scene,
            server,
            client,
            &all,
            "its last words and its end at once",
        )?;
    }
    no_leak(scene, open - 4, "four clients have left")?;
    // Not only connections; but what is kept to be used again is there by now.
    let before = scene.descriptors(scene.program()).len();
    for client in connect(scene, server, 4)? {
        if !echoes(scene, client, "hello\n")? {
            return Err(unanswered(scene, server, client));
        }
        scene.shut(client);
        is_complete(
            scene,
            server,
            client,
            "hello\n",
            "some words, and later its end",
        )?;
    }
    survives(scene, "four more clients came and left")?;
    match left_open(scene, before, "four more clients") {
        Some(seen) => Err(LEAKS.seen(seen)),
        None => Ok(()),
    }
}

fn deaf(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let slow = scene.connect_with_buffers(server, Some(SMALL))?;
    let other = scene.connect(server)?;
    scene.hold(slow, true);
    let said = text(MIB);
    scene.say(slow, &said);
    survives(scene, "a client sent 1 MiB and has not read the answer")?;
    if !echoes(scene, other, "and I?\n")? {
        return Err(stalled(scene, server, other));
    }
    survives(scene, "another client was answered")?;
    by_epoll(scene, &[slow, other])?;
    scene.hold(slow, false);
    scene.wait_to_hear(slow, said.len())?;
    if let Some(stop) = lost(scene, server, slow, &said) {
        return Err(stop);
    }
    scene.shut(slow);
    is_complete(scene, server, slow, &said, "1 MiB, later its end")?;
    match echoes(scene, other, "still here\n")? {
        true => Ok(()),
        false => Err(unanswered(scene, server, other)),
    }
}

/// The buffers of the kernel take a part of each, which is hard to foretell. Of these sizes some
/// leave a rest that the server has read, with the end behind it, and cannot send.
fn end_comes_first(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let mut clients = Vec::new();
    for size in (3..=14).map(|n| n * SMALL) {
        let client = scene.connect_with_buffers(server, Some(SMALL))?;
        let said = text(size);
        scene.hold(client, true);
        scene.say(client, &said);
        scene.shut(client);
        clients.push((client, said));
    }
    survives(
        scene,
        "clients sent all, and their end, and have not read the answer",
    )?;
    clients.iter().for_each(|(client, _)| scene.hold(*client, false));
    for (client, said) in &clients {
        let what = "all, and its end, before it read";
        is_complete(scene, server, *client, said, what)?;
    }
    Ok(())
}

fn broken_off(scene: &mut Scene) -> Outcome {
    let server = start(scene, &[])?;
    let stays = scene.connect(server)?;
    if !echoes(scene, stays, "hello\n")? {
        return Err(unanswered(scene, server, stays));
    }
    survives(scene, "a client came and spoke")?;
    let open = sockets(scene);

    let idle = scene.connect(server)?;
    if !echoes(scene, idle, "hello\n")? {
        return Err(unanswered(scene, server, idle));
    }
    scene.break_off(idle);
    no_leak(scene, open, "a client broke its connection off")?;

    let slow = scene.connect_with_buffers(server, Some(SMALL))?;
    scene.hold(slow, true);
    scene.say(slow, text(MIB));
    survives(scene, "a client sent 1 MiB and has not read the answer")?;
    scene.break_off(slow);
    no_leak(scene, open, "a client that did not read broke its connection off")?;

    // These have gone before the server looks.
    while_paused(scene, |scene| {
        let gone = scene.connect(server)?;
        scene.break_off(gone);
        let gone = scene.connect(server)?;
        scene.say(gone, text(48 << 10));
        scene.hang_up(gone);
        Ok(())
    })?;
    no_leak(scene, open, "two clients had gone before they were accepted")?;
    match echoes(scene, stays, "still here\n")? {
        true => Ok(()),
        false => Err(unanswered(scene, server, stays)),
    }
}

fn memory(scene: &mut Scene) -> Outcome {
    const CLIENTS: usize = 4;
    const SAID: usize = 2 * MIB;
    let server = start(scene, &[])?;
    // What the server makes at its first client, it may have for all.
    let first = scene.connect(server)?;
    if !echoes(scene, first, "hello\n")? {
        return Err(unanswered(scene, server, first));
    }
    survives(scene, "a client came and spoke")?;
    let used = |scene: &Scene| {
        let pid = scene.program();
        let exact = proc::proportional(pid).or_else(|_| proc::resident(pid));
        exact.map_or(0, |bytes| bytes.0)
    };
    let before = used(scene);
    let (mut slow, said) = (Vec::new(), text(SAID));
    for _ in 0..CLIENTS {
        let client = scene.connect_with_buffers(server, Some(SMALL))?;
        scene.hold(client, true);
        scene.say(client, &said);
        slow.push(client);
    }
    survives(scene, "four clients sent 2 MiB each and have not read the answer")?;
    let grown = Bytes(used(scene).saturating_sub(before));
    // The buffers of the kernel are not among that. Eight times what will do.
    if grown.0 > (CLIENTS * (512 << 10)) as u64 {
        let taken: usize =
            slow.iter().map(|&client| SAID - scene.untaken(client)).sum();
        return Err(UNBOUNDED.seen(format!(
            "four clients came, sent 2 MiB each and read nothing; the server has read {} of \
             all that, and uses {grown} more memory",
            Bytes(taken as u64)
        )));
    }
    Ok(())
}

fn many(scene: &mut Scene) -> Outcome {
    const CLIENTS: usize = 8;
    let server = start(scene, &[])?;
    let clients = connect(scene, server, CLIENTS)?;
    let said: Vec<String> = (0..CLIENTS).map(|n| text(MIB - n * 16)).collect();
    for (&client, said) in clients.iter().zip(&said) {
        scene.say(client, said);
        scene.shut(client);
    }
    for (&client, said) in clients.iter().zip(&said) {
        is_complete(scene, server, client, said, "1 MiB and its end")?;
    }
    survives(scene, "eight clients sent 1 MiB each")?;
    let next = scene.connect(server)?;
    match echoes(scene, next, "and another one\n")? {
        true => Ok(()),
        false => Err(unanswered(scene, server, next)),
    }
}

/// So many bytes, in which no line is like another.
fn text(bytes: usize) -> String {
    (0..bytes / 16).map(|number| format!("{number:15}\n")).collect()
}

/// Stops the server, acts, and lets it go on when all that was sent has arrived.
fn while_paused<T>(
    scene: &mut Scene,
    act: impl FnOnce(&mut Scene) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let program = scene.program();
    scene.pause(program)?;
    let result = act(scene)?;
    scene.wait(|_| false)?;
    scene.resume(program);
    Ok(result)
}

/// The server must go on, and sleep in epoll_wait.
fn survives(scene: &mut Scene, what: &str) -> Outcome {
    rest(scene, what).map_err(|stop| match &*stop {
        Report::Failed(Status::Crashed, finding) => {
            ENDS.seen(format!("after {what} {}", finding.seen))
        }
        _ => stop,
    })
}

/// A client that has sent its end must get all it has said, and then the end.
fn is_complete(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
    said: &str,
    what: &str,
) -> Outcome {
    scene.wait(|scene| scene.end_of(client).is_some())?;
    if scene.exit().is_some() {
        survives(scene, &format!("a client sent {what}"))?;
    }
    let (heard, all) = (scene.heard(client).len(), said.len());
    if !said.as_bytes().starts_with(scene.heard(client)) {
        return Err(lost(scene, server, client, said)
            .unwrap_or_else(|| ECHO.seen("a client heard more than it had said")));
    }
    match scene.end_of(client) {
        Some(End::Fin) if heard == all => Ok(()),
        Some(end) => Err(CLOSES_EARLY.seen(format!(
            "a client sent {what}; {heard} of its {all} bytes came back, and then the \
             connection was {}",
            if end == End::Fin { "closed" } else { "broken off (reset)" }
        ))),
        None if heard < all => {
            Err(lost(scene, server, client, said).expect("something is missing"))
        }
        None => Err(no_end(scene, server, client, what, READS_ONCE)),
    }
}

/// What is wrong if not all that the client has said has come back. All is at rest.
fn lost(
    scene: &Scene,
    server: SocketAddr,
    client: Peer,
    said: &str,
) -> Option<Stop> {
    let heard = scene.heard(client);
    if heard == said.as_bytes() {
        return None;
    }
    let common =
        heard.iter().zip(said.as_bytes()).take_while(|(a, b)| a == b).count();
    let (heard, all) = (heard.len(), said.len());
    if common < heard {
        return Some(LOSES_REST.seen(format!(
            "a client that did not read at first got back {common} bytes of its {all} as \
             it had sent them, and then others: some between are missing"
        )));
    }
    let unread = scene.untaken(client);
    let seen = format!(
        "a client has read {heard} of the {all} bytes that it expects, and no more come: \
         {unread} are unread; {}",
        scene.doing_all()
    );
    Some(match blocked(scene) {
        true => BLOCKING.hung(seen),
        false if scene.watched_by_epoll(scene.program()).is_none() => {
            unanswered(scene, server, client)
        }
        false if unread == 0 => LOSES_REST.hung(seen),
        false => NEVER_RESUMES.hung(seen),
    })
}

/// A client has spoken and is not answered, though it reads.
fn unanswered(scene: &Scene, server: SocketAddr, client: Peer) -> Stop {
    let seen = where_it_waits(scene, server, client);
    let seen = format!("a client spoke and is not answered: {seen}");
    let program = scene.program();
    let waiting = scene.not_accepted(server) > 0;
    if scene.watched_by_epoll(program).is_none() {
        return if waiting { ONE_AT_A_TIME } else { ECHO }.seen(seen);
    }
    if blocked(scene) {
        return BLOCKING.hung(seen);
    }
    if waiting {
        return ACCEPTS_ONCE.hung(seen);
    }
    if let Err(stop) = by_edges(scene, &[client]) {
        return stop;
    }
    match scene.untaken(client) > 0 {
        true => READS_ONCE.hung(seen),
        false => ECHO.seen(seen),
    }
}

/// The same while another client does not read.
fn stalled(scene: &Scene, server: SocketAddr, client: Peer) -> Stop {
    if blocked(scene)
        || in_epoll(scene)
        || scene.watched_by_epoll(scene.program()).is_none()
    {
        return unanswered(scene, server, client);
    }
    WAITS_FOR_ONE.hung(format!(
        "one client does not read; another one spoke and is not answered, and the server \
         sleeps elsewhere than in epoll_wait: {}",
        where_it_waits(scene, server, client)
    ))
}

/// The client has got everything, and waits for the end. If the server sleeps in epoll_wait it
/// has not seen the client's end, or has not closed: which of both is for the case to say.
fn no_end(
    scene: &Scene,
    server: SocketAddr,
    client: Peer,
    what: &str,
    why: Misconception,
) -> Stop {
    let place = where_it_waits(scene, server, client);
    let seen = format!(
        "a client sent {what}; all bytes came back, and the end does not: {place}"
    );
    match blocked(scene) {
        true => BLOCKING.hung(seen),
        false if in_epoll(scene) => why.hung(seen),
        false => NO_END.hung(seen),
    }
}

/// Whether a thread sleeps in accept, read or write.
fn blocked(scene: &Scene) -> bool {
    let sleeps = |waiting| match waiting {
        Waiting::Accept => true,
        Waiting::Read(fd) | Waiting::Write(fd) => fd > 2,
        _ => false,
    };
    scene.threads().iter().any(|thread| sleeps(thread.waiting))
}

/// Whether the main thread sleeps in epoll_wait.
fn in_epoll(scene: &Scene) -> bool {
    let program = scene.program();
    let call = proc::syscall(program, program).ok().flatten();
    let calls = [
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
    ];
    call.is_some_and(|call| calls.contains(&call.number))
}

/// All is at rest. One thread, which sleeps in epoll_wait and watches these by edges?
fn by_epoll(scene: &Scene, clients: &[Peer]) -> Outcome {
    let count = clients.len();
    let (threads, others) = (scene.threads().len(), scene.others().len());
    if threads > 1 || others > 0 {
        return Err(MORE_THREADS.seen(format!(
            "with {count} clients it has {threads} threads and {others} other processes"
        )));
    }
    by_edges(scene, clients)?;
    match in_epoll(scene) {
        true => Ok(()),
        false => Err(NO_EPOLL.seen(format!(
            "it has an epoll descriptor, and sleeps elsewhere: {}",
            scene.doing_all()
        ))),
    }
}

/// Does epoll watch these by edges?
fn by_edges(scene: &Scene, clients: &[Peer]) -> Outcome {
    let (program, count) = (scene.program(), clients.len());
    let Some(watched) = scene.watched_by_epoll(program) else {
        return Err(NO_EPOLL.seen(format!(
            "with {count} clients it has no epoll descriptor; {}",
            scene.doing_all()
        )));
    };
    for &client in clients {
        let own = scene.descriptors_of(program, client);
        let found = watched.iter().find(|watched| own.contains(&watched.fd));
        let Some(&Watched { fd, flags: events }) = found else {
            return Err(NO_EPOLL.seen(format!(
                "a client's connection is descriptor {own:?}, and epoll watches others only"
            )));
        };
        if events & libc::EPOLLET as u32 == 0 {
            return Err(LEVEL.seen(format!(
                "epoll watches a client's connection, descriptor {fd}, for the events \
                 {events:#x}: EPOLLET, {:#x}, is not among them",
                libc::EPOLLET as u32
            )));
        }
    }
    Ok(())
}

/// The server must be at rest, with so many sockets open and no more.
fn no_leak(scene: &mut Scene, open: usize, what: &str) -> Outcome {
    survives(scene, what)?;
    let now = sockets(scene);
    match now > open {
        false => Ok(()),
        true => Err(LEAKS.seen(format!(
            "{what}, and the server still has {} descriptor{} too many",
            now - open,
            if now - open == 1 { "" } else { "s" }
        ))),
    }
}
