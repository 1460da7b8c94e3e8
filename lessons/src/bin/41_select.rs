//! Which are ready?
//!
//! select(2) takes sets of descriptors, waits until one of them is ready, and leaves
//! in the sets those that are. A set has 1024 bits, one for each number.
//! Predict: three are watched, one is ready. Who is watched by the next call?
//! Neighbours: 37_nonblocking, 42_select_server, 43_epoll.

use anyhow::Result;
use lessons::net;
use lessons::serve::{Role, Server, Stop, says, shut_reading};
use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::select::{FD_SETSIZE, FdSet, select};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, send};
use nix::sys::time::TimeVal;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// Descriptors that are not a client's: the standard ones and a few more.
const OTHERS: usize = 16;

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, _) => serve(listener, &Stop::new()?),
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send. It waits for all of them at once.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE)?.0 as usize;
    let most = descriptors.min(FD_SETSIZE).saturating_sub(OTHERS);
    let (mut clients, mut ended) = (Vec::<TcpStream>::new(), Vec::new());
    let mut buffer = [0; 16384];
    stop.shuts(&listener);
    loop {
        // Anew each time: select leaves in it those that are ready.
        let (mut readable, stopping) = (FdSet::new(), stop.requested());
        if stopping {
            clients.iter().for_each(shut_reading);
        } else {
            readable.insert(stop.as_fd());
        }
        // More of them wait in the queue of accept(2).
        if !stopping && clients.len() < most {
            readable.insert(listener.as_fd());
        }
        let mut highest = listener.as_raw_fd().max(stop.as_fd().as_raw_fd());
        for client in &clients {
            readable.insert(client.as_fd());
            highest = highest.max(client.as_raw_fd());
        }
        if stopping && clients.is_empty() {
            return Ok(());
        }
        match select(highest + 1, &mut readable, None, None, None) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for (index, client) in clients.iter().enumerate() {
            // An error of one client's connection is the end of that client only.
            if readable.contains(client.as_fd())
                && !matches!(echo(client, &mut buffer), Ok(1..))
            {
                ended.push(index);
            }
        }
        let comes = readable.contains(listener.as_fd());
        // The set borrows those it holds; after its last use the list may change.
        ended.drain(..).rev().for_each(|index| drop(clients.swap_remove(index)));
        match comes.then(|| listener.accept()) {
            Some(Ok((client, _))) => clients.push(client),
            Some(Err(e)) if !stop.requested() => return Err(e.into()),
            _ => {}
        }
    }
}

/// One read and its answer; 0 when the client has sent its last.
fn echo(mut client: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let n = client.read(buffer)?;
    client.write_all(&buffer[..n])?;
    Ok(n)
}

fn scene() -> Result<()> {
    lessons::open("Which are ready?");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let connect = || -> Result<(TcpStream, TcpStream)> {
        Ok((TcpStream::connect(address)?, listener.accept()?.0))
    };

    step("Three connections, A, B and C. B's client sends, later A's too.");
    let [mut a, mut b, c] = [connect()?, connect()?, connect()?];
    let three = [a.1.as_fd(), b.1.as_fd(), c.1.as_fd()];
    b.0.write_all(b"hello")?;
    let mut set = FdSet::new();
    three.iter().for_each(|fd| set.insert(*fd));
    let before = in_set(&set, &three);
    let ready = select(None, &mut set, None, None, None)?;
    let after = in_set(&set, &three);
    (&b.1).read_exact(&mut [0; 5])?;
    a.0.write_all(b"hello")?;
    let its_address = a.0.local_addr()?;
    until("5 bytes wait", || Ok(net::unread(address, its_address)? == 5))?;
    let again = ready_now(&mut set)?;
    observe("the set before", &before);
    observe("select, the set after", format!("{ready}, {after}"));
    observe("with that set again", format!("{again}, {}", in_set(&set, &three)));
    let mut set = FdSet::new();
    three.iter().for_each(|fd| set.insert(*fd));
    let anew = ready_now(&mut set)?;
    observe("with a new one", format!("{anew}, {}", in_set(&set, &three)));
    prove("it is overwritten: who is ready stays in it", after == "B")?;
    prove("A was not watched any more", (again, anew) == (0, 1))?;

    step(
        "A: a listening socket with a client in its queue. B: its client has left.",
    );
    let waiting = TcpStream::connect(address)?;
    drop(b.0);
    let two = [listener.as_fd(), b.1.as_fd()];
    let mut set = FdSet::new();
    until("both are ready", || {
        two.iter().for_each(|fd| set.insert(*fd));
        Ok(ready_now(&mut set)? == 2)
    })?;
    let accepted = listener.accept()?;
    let end = (&b.1).read(&mut [0])?;
    observe("the set after", in_set(&set, &two));
    observe("accept, and read", format!("{}, {end}", accepted.1));
    let same = accepted.1 == waiting.local_addr()?;
    prove("ready to read means: it would not wait", same && end == 0)?;

    step("Three sets. A: its buffer is full. B: an urgent byte. C: a reset.");
    let (full, _reader) = UnixStream::pair()?;
    full.set_nonblocking(true)?;
    while (&full).write(&[0; 4096]).is_ok() {}
    let (urgent, broken) = (connect()?, connect()?);
    send(urgent.0.as_raw_fd(), b"!", MsgFlags::MSG_OOB)?;
    SockRef::from(&broken.0).set_linger(Some(Duration::ZERO))?;
    drop(broken.0);
    let three = [full.as_fd(), urgent.1.as_fd(), broken.1.as_fd()];
    let (mut r, mut w, mut x) = (FdSet::new(), FdSet::new(), FdSet::new());
    until("both have arrived", || {
        for set in [&mut r, &mut w, &mut x] {
            three.iter().for_each(|fd| set.insert(*fd));
        }
        let now = &mut TimeVal::new(0, 0);
        Ok(select(None, &mut r, &mut w, &mut x, now)? == 4)
    })?;
    let [r, w, x] = [r, w, x].map(|set| in_set(&set, &three));
    observe("first set, second, third", format!("{r}, {w}, {x}"));
    prove("the second: can be written to, not “is blocked”", w == "BC")?;
    prove("the third: urgent data", x == "B")?;
    prove("an error is to be read, and no exception", r == "C")?;

    step("A descriptor with the number 1024.");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(4096)), hard)?;
    match fcntl(&a.1, FcntlArg::F_DUPFD_CLOEXEC(FD_SETSIZE as i32)) {
        Ok(number) => {
            // SAFETY: it was just made, and nobody else knows it.
            let high = unsafe { OwnedFd::from_raw_fd(number) };
            // What a panic says goes to standard error; here it is the answer.
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(|_| {}));
            let inserted = catch_unwind(|| FdSet::new().insert(high.as_fd()));
            std::panic::set_hook(usual);
            let mut polled = [PollFd::new(high.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut polled, PollTimeout::ZERO)?;
            observe(
                "the set has room for",
                format!("{} bits", 8 * size_of::<FdSet>()),
            );
            observe(
                "FdSet::insert",
                if inserted.is_ok() { "fits" } else { "panics" },
            );
            observe("poll", format!("{ready}, {:?}", polled[0].revents()));
            prove("it does not fit in a set: nix refuses", inserted.is_err())?;
            prove("poll takes a list, and any number", ready == 1)?;
        }
        Err(e) => observe("this machine allows none", format!("{e:?}")),
    }

    step("The price: one is ready, and ever more are watched.");
    let mut found = Vec::new();
    for number in [10, 100, 900] {
        let silent = (1..number).map(|_| c.1.try_clone());
        let silent = silent.collect::<io::Result<Vec<_>>>()?;
        let watched: Vec<_> = silent.iter().chain([&a.1]).map(AsFd::as_fd).collect();
        let mut full = FdSet::new();
        watched.iter().for_each(|fd| full.insert(*fd));
        let most = watched.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(0) + 1;
        let (selected, select_took) = quickest(|| {
            let mut set = full;
            select(most, &mut set, None, None, &mut TimeVal::new(0, 0))
        })?;
        let entries = watched.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
        let mut list: Vec<_> = entries.collect();
        let (polled, poll_took) = quickest(|| poll(&mut list, PollTimeout::ZERO))?;
        let took = [select_took, poll_took].map(|time| time.as_nanos());
        observe(
            &format!("{number} watched: select, poll"),
            format!("{} ns, {} ns", took[0], took[1]),
        );
        found.push((selected, polled));
    }
    prove("each call finds the one, at its price", found == [(1, 1); 3])?;

    step("The echo service. Three clients stay, the last one speaks first.");
    let server = Server::start(&[])?;
    let connect = |_| TcpStream::connect(server.address);
    let mut clients = (0..3).map(connect).collect::<io::Result<Vec<_>>>()?;
    let answers = clients.iter_mut().rev().map(|client| says(client, "hello"));
    let answers = answers.collect::<Result<Vec<_>>>()?.join(", ");
    let threads = proc::threads(server.pid())?;
    until("it sleeps", || {
        let sleeps = |&number| server.waits_in(number).unwrap_or(false);
        Ok(proc::SELECT.iter().any(sleeps))
    })?;
    observe("they read", &answers);
    observe("threads", threads);
    observe("it sleeps in", "select(2)");
    prove("one thread waits for all of them at once", threads == 1)?;

    step("One sends 3 bytes; before the server reads them, Ctrl-C.");
    server.pause()?;
    clients[0].write_all(b"bye")?;
    let its_address = clients[0].local_addr()?;
    let unread = || net::unread(server.address, its_address);
    until("3 bytes wait", || Ok(unread()? == 3))?;
    server.signal(Signal::SIGINT)?;
    server.signal(Signal::SIGCONT)?;
    let mut rest = String::new();
    clients[0].read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("it reads to the end", &rest);
    observe("the server ends with", status);
    prove("what has arrived is answered", rest == "bye" && status.success())
}

/// What a hundred of these rounds return, and the shortest time that one took.
fn quickest(mut round: impl FnMut() -> nix::Result<i32>) -> Result<(i32, Duration)> {
    let (mut shortest, mut ready) = (Duration::MAX, 0);
    for _ in 0..100 {
        let start = Instant::now();
        ready = round()?;
        shortest = shortest.min(start.elapsed());
    }
    Ok((ready, shortest))
}

/// select(2) without waiting.
fn ready_now(set: &mut FdSet) -> nix::Result<i32> {
    select(None, set, None, None, &mut TimeVal::new(0, 0))
}

/// Which of these are in the set, by their letters.
fn in_set(set: &FdSet, watched: &[BorrowedFd]) -> String {
    let there = ('A'..).zip(watched).filter(|(_, fd)| set.contains(**fd));
    let letters: String = there.map(|(letter, _)| letter).collect();
    if letters.is_empty() { "none".to_owned() } else { letters }
}
