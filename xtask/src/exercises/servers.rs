//! What the exercises about servers share: a server that says where it listens, and clients that
//! want their bytes back.

use crate::scene::{
    End, Exit, Misconception, Outcome, Peer, Scene, Settled, Stop, Thread, Waiting,
    quote,
};
use lessons::net::State;
use lessons::proc;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;

/// The names of these two are the same in all exercises about servers.
pub const NOT_LISTENING: Misconception = Misconception {
    name: "not-listening",
    expected: "the first line is `listening on ADDRESS`, and a socket listens there",
    why: "Who wants to connect reads the port from that line. It has to be printed \
          after listen(2), and at once: output to a pipe is not written line by line \
          in every language.",
    lesson: "36_iterative",
};

pub const ECHO: Misconception = Misconception {
    name: "echo",
    expected: "each client gets back what it has sent, all of it and nothing else",
    why: "A read gives what has arrived so far, be it a part of a message or several \
          at once; so send back as many bytes as were read, all of them, and read \
          again until it says 0.",
    lesson: "28_stream",
};

pub const NO_END: Misconception = Misconception {
    name: "no-end",
    expected: "when a client sends no more it gets the rest back, and then the end",
    why: "A read that returns 0 says that the client will send no more. The server \
          has to close the connection then: the last descriptor that is closed sends \
          FIN.",
    lesson: "29_shutdown",
};

pub const BUSY: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "while nobody wants anything the server sleeps",
    why: "It asks in a loop whether something has happened, and uses the processor \
          for nothing. A call that blocks, or poll without a time limit, sleeps \
          until there is something to do. (wait does not block if there is no child: \
          it returns -1 at once.)",
    lesson: "37_nonblocking",
};

pub const ENDS: Misconception = Misconception {
    name: "server-ends",
    expected: "whatever a client does, the server goes on",
    why: "An error of one connection is the end of that connection and of nothing \
          else. Who leaves the loop with `?`, or panics, lets all others down.",
    lesson: "36_iterative",
};

pub const ONE_AT_A_TIME: Misconception = Misconception {
    name: "one-at-a-time",
    expected: "a client that stays does not keep the next one waiting",
    why: "The server serves one client, or waits for whoever does, before it accepts \
          the next. That one is connected all the same: the kernel has put it into \
          the queue of the listening socket, where nobody answers.",
    lesson: "36_iterative",
};

const SHORT_QUEUE: Misconception = Misconception {
    name: "short-queue",
    expected: "a hundred clients may wait to be accepted",
    why: "The kernel makes the connections, and puts them into a queue until accept takes \
          them. How long that may become says listen(2). To a client that finds it full \
          nothing is said: it tries again after a second, then after two, and so on, as if \
          the network were broken. std, and SOMAXCONN, ask for a hundred and more.",
    lesson: "27_handshake",
};

/// Starts the program with `127.0.0.1:0` and these further arguments. Where does it listen?
pub fn start(scene: &mut Scene, args: &[&str]) -> Result<SocketAddr, Stop> {
    start_at(scene, Ipv4Addr::LOCALHOST, args)
}

/// The same at another address of the loopback interface.
pub fn start_at(
    scene: &mut Scene,
    host: Ipv4Addr,
    args: &[&str],
) -> Result<SocketAddr, Stop> {
    let asked = format!("{host}:0");
    let all = [&[asked.as_str()], args].concat();
    match start_with(scene, &all)? {
        address if address.ip() == host => Ok(address),
        address => Err(NOT_LISTENING
            .seen(format!("it was asked for {asked} and listens at {address}"))),
    }
}

/// The same with these arguments; an address is one of them.
pub fn start_with(scene: &mut Scene, args: &[&str]) -> Result<SocketAddr, Stop> {
    scene.start(args)?;
    let Some(address) = scene.listening()? else {
        return Err(not_listening(scene));
    };
    has_room(scene, address)?;
    Ok(address)
}

fn has_room(scene: &Scene, server: SocketAddr) -> Outcome {
    match scene.room_for_arrivals(server) {
        Some(room) if room < 100 => {
            Err(SHORT_QUEUE.seen(format!("the queue has room for {room}")))
        }
        _ => Ok(()),
    }
}

/// The first line says nothing, or not the truth.
fn not_listening(scene: &Scene) -> Stop {
    let lines = scene.lines();
    let Some(line) = lines.first() else {
        return NOT_LISTENING.so_far(scene, "the start");
    };
    let address = line.strip_prefix("listening on ").map(str::trim);
    let Some(address) = address.and_then(|text| text.parse().ok()) else {
        return NOT_LISTENING.seen(format!("the first line is {}", quote(line)));
    };
    let why = match scene.holders_of_listener(address).is_empty() {
        _ if scene.exit().is_some() => "the program that was started has ended",
        _ if address.port() == 0 => {
            "no socket has port 0: it stands for a port that the kernel chooses, and \
             getsockname (`local_addr`) tells which"
        }
        true => "no socket of the program listens at that address",
        false => {
            "another process listens there; the one that was started has to be the \
             server"
        }
    };
    NOT_LISTENING.seen(format!("the first line is {}; {why}", quote(line)))
}

/// The same with threads that start late, and so many clients that have come before the server has
/// accepted any: it is held inside of printing its first line, after listen(2).
pub fn start_late(
    scene: &mut Scene,
    args: &[&str],
    clients: usize,
) -> Result<(SocketAddr, Vec<Peer>), Stop> {
    scene.start_late_with_full_output(&[&["127.0.0.1:0"], args].concat())?;
    come_first(scene, clients, |_, _| ())
}

/// The same with threads as usual.
pub fn start_with_clients(
    scene: &mut Scene,
    args: &[&str],
    clients: usize,
) -> Result<(SocketAddr, Vec<Peer>), Stop> {
    start_with_clients_that(scene, args, clients, |_, _| ())
}

/// The same with clients each of which does this before the server has accepted any.
pub fn start_with_clients_that(
    scene: &mut Scene,
    args: &[&str],
    clients: usize,
    act: impl Fn(&mut Scene, Peer),
) -> Result<(SocketAddr, Vec<Peer>), Stop> {
    scene.start_with_full_output(&[&["127.0.0.1:0"], args].concat())?;
    come_first(scene, clients, act)
}

fn come_first(
    scene: &mut Scene,
    clients: usize,
    act: impl Fn(&mut Scene, Peer),
) -> Result<(SocketAddr, Vec<Peer>), Stop> {
    scene.settle()?;
    let sockets = scene.tcp_sockets(scene.program());
    let listening = sockets.iter().find(|(_, tcp)| tcp.state == State::Listen);
    let Some(address) = listening.map(|(_, tcp)| tcp.local) else {
        scene.let_output_go();
        scene.wait(|scene| scene.count_lines() > 0)?;
        return Err(not_listening(scene));
    };
    has_room(scene, address)?;
    let clients = connect(scene, address, clients)?;
    clients.iter().for_each(|&client| act(scene, client));
    scene.let_output_go();
    scene.wait(|scene| scene.count_lines() > 0)?;
    match scene.lines().first() {
        Some(line) if *line == format!("listening on {address}") => {
            Ok((address, clients))
        }
        _ => Err(not_listening(scene)),
    }
}

/// So many clients, each of which the kernel has connected.
pub fn connect(
    scene: &mut Scene,
    server: SocketAddr,
    count: usize,
) -> Result<Vec<Peer>, Stop> {
    (0..count).map(|_| scene.connect(server)).collect()
}

/// Waits until the server is at rest. It must still be there, and must sleep.
pub fn rest(scene: &mut Scene, what: &str) -> Result<(), Stop> {
    match scene.settle()? {
        Settled::Busy => {
            Err(BUSY.seen(format!("after {what}; {}", scene.doing_all())))
        }
        Settled::Ended => Err(ends(scene, what)),
        _ => Ok(()),
    }
}

/// The same of a server that may set limits to the time that it waits for a client: it must
/// sleep, with a limit or without.
pub fn rest_or_wait(scene: &mut Scene, what: &str) -> Result<(), Stop> {
    match scene.wait_while_awake(|_| false)? {
        Settled::Busy => {
            Err(BUSY.seen(format!("after {what}; {}", scene.doing_all())))
        }
        Settled::Ended => Err(ends(scene, what)),
        _ => Ok(()),
    }
}

/// The server has ended.
pub fn ends(scene: &Scene, what: &str) -> Stop {
    let how = match scene.exit() {
        Some(Exit::Code(code)) => format!("it ended with status {code}"),
        Some(Exit::Signal(signal)) => format!("it was ended by {signal}"),
        None => "it is still there".to_owned(),
    };
    let words = scene.last_words();
    let seen = if words.is_empty() { how } else { format!("{how}: {words}") };
    ENDS.seen(format!("after {what} {seen}"))
}

/// How many sockets the server has open. One whose connection is broken off is in no table of
/// connections, but it is a descriptor.
pub fn sockets(scene: &Scene) -> usize {
    let open = scene.descriptors(scene.program());
    open.iter().filter(|fd| fd.target.starts_with("socket:")).count()
}

/// What to say if the server has more open than before, when clients have come and left since:
/// connections or anything else.
pub fn left_open(scene: &Scene, before: usize, who: &str) -> Option<String> {
    let open = scene.descriptors(scene.program());
    let last = open.last().filter(|_| open.len() > before)?;
    Some(format!(
        "{who} came and left, and then {} descriptors were open instead of {before}; the last one \
         is {}",
        open.len(),
        last.target
    ))
}

/// Whether the server opens this FIFO, which nobody else has open, and waits in open(2) until
/// somebody opens it for writing. Who opens it with O_NONBLOCK does not wait there.
pub fn waits_in_open(scene: &Scene, fifo: &str) -> bool {
    let processes = scene.others().into_iter().chain([scene.program()]);
    let mut threads = processes
        .flat_map(|pid| scene.threads_of(pid).into_iter().map(move |t| (pid, t)));
    let blocking = |(pid, thread): (i32, Thread)| {
        let Waiting::Other(number) = thread.waiting else { return false };
        let call = proc::syscall(pid, thread.tid).ok().flatten();
        let flags =
            call.filter(|call| call.number == number).and_then(
                |call| match number {
                    libc::SYS_openat => Some(call.args[2]),
                    // It has its flags in memory; but it sleeps.
                    libc::SYS_openat2 => Some(0),
                    #[cfg(target_arch = "x86_64")]
                    libc::SYS_open => Some(call.args[1]),
                    _ => None,
                },
            );
        flags.is_some_and(|flags| flags & libc::O_NONBLOCK as u64 == 0)
    };
    // To open it for writing without waiting works only if somebody opens it for reading.
    threads.any(blocking)
        && File::options()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(fifo)
            .is_ok()
}

/// A client's connection has ended too early, perhaps because the server has ended, or is about to.
/// It must go on, whatever `what` says that the client did.
pub fn goes_on(scene: &mut Scene, what: &str) -> Result<(), Stop> {
    scene.wait_with_patience(|scene| scene.exit().is_some())?;
    match scene.exit().is_some() && scene.others().is_empty() {
        true => Err(ends(scene, what)),
        false => Ok(()),
    }
}

/// Says this to the server and waits until it has come back, or will not. True if it has.
pub fn echoes(
    scene: &mut Scene,
    client: Peer,
    text: &(impl AsRef<[u8]> + ?Sized),
) -> Result<bool, Stop> {
    let text = text.as_ref();
    let quoted = || quote(&String::from_utf8_lossy(text));
    let before = scene.heard(client).len();
    scene.say(client, text);
    let all = before + text.len();
    // One that spins is not to be waited for until the deadline.
    scene.wait_with_patience(|scene| {
        scene.heard(client).len() >= all || scene.end_of(client).is_some()
    })?;
    if scene.heard(client).len() < all {
        goes_on(scene, &format!("a client said {}", quoted()))?;
    }
    let heard = &scene.heard(client)[before..];
    if !text.starts_with(heard) {
        let heard = String::from_utf8_lossy(heard);
        let seen = format!("a client said {} and heard {}", quoted(), quote(&heard));
        return Err(ECHO.seen(seen));
    }
    Ok(heard.len() == text.len())
}

/// A client says a quarter of a million bytes at once, not all of them text. All must come back.
/// What it has said.
pub fn echoes_much(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
) -> Result<Vec<u8>, Stop> {
    let said: Vec<u8> = (0..16_384)
        .flat_map(|number| {
            [format!("{number:13}").as_bytes(), &[0xFF, 0, 10]].concat()
        })
        .collect();
    if !echoes(scene, client, &said)? {
        let (heard, all) = (scene.heard(client).len(), said.len());
        let seen = where_it_waits(scene, server, client);
        return Err(ECHO.seen(format!(
            "of {all} bytes {heard} came back; the connection: {seen}"
        )));
    }
    Ok(said)
}

/// The client says no more. It must hear what is still missing of `said`, and then the end;
/// `no_end` is what is wrong if that does not come.
pub fn farewell(
    scene: &mut Scene,
    client: Peer,
    said: &(impl AsRef<[u8]> + ?Sized),
    no_end: impl FnOnce(&mut Scene) -> Stop,
) -> Result<(), Stop> {
    scene.shut(client);
    scene.wait_with_patience(|s| s.end_of(client).is_some())?;
    let (said, heard) = (said.as_ref(), scene.heard(client));
    match scene.end_of(client) {
        Some(End::Fin) if heard == said => Ok(()),
        Some(End::Fin) => Err(ECHO.seen(format!(
            "a client sent {} bytes and then its end; {} came back before the end",
            said.len(),
            heard.len()
        ))),
        Some(End::Reset) => Err(NO_END.seen(
            "a client sent its end, and its connection was broken off (reset): the \
             server closed it without reading all that had come, or asked for that \
             (SO_LINGER)",
        )),
        None => Err(no_end(scene)),
    }
}

/// A connection on which nothing comes back: what is the server doing with it?
pub fn where_it_waits(scene: &Scene, server: SocketAddr, client: Peer) -> String {
    let state = scene.state_of(client);
    let unread = scene.untaken(client);
    let accepted = scene.not_accepted(server) == 0;
    let place = match (state, accepted) {
        (State::Established, false) => {
            "connected, but accepted by nobody".to_owned()
        }
        (state, _) => format!("in state {state}"),
    };
    format!("it is {place}, {unread} bytes of it are unread; {}", scene.doing_all())
}
