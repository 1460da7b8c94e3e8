//! What if the client reads slowly?
//!
//! write(2) takes a part, then nothing. One thread that serves all may not wait for
//! this client: it keeps the rest, reads no more, and asks to be told of room.
//! Predict: a client sends without end and never reads. Who has to remember it all?
//! Neighbours: 37_nonblocking, 43_epoll, 45_coroutine.

use anyhow::{Context, Result};
use lessons::net;
use lessons::serve::{Role, Server, Stop, errno, shut_reading};
use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno::{
    self, EAGAIN, ECONNABORTED, EINTR, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM,
};
use nix::sys::epoll::EpollFlags as Flags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, _) => serve(listener, &Stop::new()?),
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send. It sleeps until the kernel reports some of them.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    listener.set_nonblocking(true)?;
    stop.shuts(&listener);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(READS, number(&listener)))?;
    epoll.add(stop, EpollEvent::new(READS, number(stop)))?;
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut events = [EpollEvent::empty(); 64];
    // Whether somebody may be in the queue of whom there will be no more report.
    let mut queue = false;
    while !(stop.requested() && clients.is_empty()) {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(EINTR) => 0,
            count => count?,
        };
        for event in &events[..count] {
            if event.data() == number(&listener) {
                queue = true;
            } else if event.data() == number(stop) {
                // Each of them is reported: it can be read, if only its end.
                clients.values().for_each(|c| shut_reading(&c.stream));
            } else if let Some(client) = clients.get_mut(&event.data())
                && !client.go_on(event.events(), &epoll)
            {
                // Dropping it closes its socket, and epoll forgets that.
                clients.remove(&event.data());
            }
        }
        if queue {
            queue = accept_all(&listener, stop, &epoll, &mut clients)?;
        }
    }
    Ok(())
}

/// What is told once: there is something to read, the end of it, or room to write.
const READS: Flags = Flags::EPOLLIN.union(Flags::EPOLLRDHUP).union(Flags::EPOLLET);
const WRITES: Flags = Flags::EPOLLOUT.union(Flags::EPOLLET);
const ENDED: Flags = Flags::EPOLLRDHUP.union(Flags::EPOLLHUP).union(Flags::EPOLLERR);

/// What one client may have at a time, in buffers: the others have their turn, too.
const TURN: usize = 16;

/// Takes all out of the queue: they are reported once. True if some are left in it.
fn accept_all(
    listener: &TcpListener,
    stop: &Stop,
    epoll: &Epoll,
    clients: &mut HashMap<u64, Client>,
) -> Result<bool> {
    loop {
        match errno(listener.accept()) {
            Ok((stream, _)) => {
                let client = Client::new(stream)?;
                let key = number(&client.stream);
                // Where that fails, the client is closed.
                if epoll.add(&client.stream, EpollEvent::new(READS, key)).is_ok() {
                    clients.insert(key, client);
                }
            }
            Err(EAGAIN) => return Ok(false),
            Err(ECONNABORTED) => {}
            // All descriptors are in use. Who waits is not reported again: this
            // thread can sleep, and tries again when something has happened.
            Err(EMFILE | ENFILE | ENOBUFS | ENOMEM) => return Ok(true),
            Err(EINVAL) if stop.requested() => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Who cannot wait has to remember where it was.
struct Client {
    stream: TcpStream,
    buffer: Box<[u8]>,
    sent: usize,
    read: usize,
    /// What the kernel was asked to report: READS or WRITES.
    interest: Flags,
}

impl Client {
    fn new(stream: TcpStream) -> Result<Client> {
        stream.set_nonblocking(true)?;
        let buffer = vec![0; 16384].into();
        Ok(Client { stream, buffer, sent: 0, read: 0, interest: READS })
    }

    /// Echoes until it would have to wait. False when the client is to go.
    fn go_on(&mut self, reported: Flags, epoll: &Epoll) -> bool {
        let mut turn = 0..TURN;
        let waits = loop {
            match errno(self.echo()) {
                Ok(0) => return false,
                Ok(_) if turn.next().is_none() => break false,
                Ok(_) if self.has_more(reported) => {}
                Ok(_) | Err(EAGAIN) => break true,
                // The end of that client only.
                Err(_) => return false,
            }
        };
        let interest = if self.sent < self.read { WRITES } else { READS };
        if waits && interest == self.interest {
            return true;
        }
        self.interest = interest;
        // EPOLL_CTL_MOD looks again: who has more is reported after the others.
        let mut event = EpollEvent::new(interest, number(&self.stream));
        epoll.modify(&self.stream, &mut event).is_ok()
    }

    /// If fewer bytes came than there was room for, they were all, and the next will
    /// be reported: that saves a read(2). But the end may have come with them.
    fn has_more(&self, reported: Flags) -> bool {
        self.sent < self.read
            || self.read == self.buffer.len()
            || reported.intersects(ENDED)
    }

    /// How many bytes went out, 0 when the client has sent its last.
    fn echo(&mut self) -> io::Result<usize> {
        if self.sent == self.read {
            (self.sent, self.read) = (0, self.stream.read(&mut self.buffer)?);
        }
        if self.read == 0 {
            return Ok(0);
        }
        let n = self.stream.write(&self.buffer[self.sent..self.read])?;
        self.sent += n;
        Ok(n)
    }
}

/// The lowest free number is given to whoever comes next, so no two have the same.
fn number(open: &impl AsFd) -> u64 {
    open.as_fd().as_raw_fd() as u64
}

fn scene() -> Result<()> {
    lessons::open("What if the client reads slowly?");
    let server = Server::start(&[])?;
    until("the server sleeps", || server.waits_in(proc::EPOLL_WAIT))?;

    step("While the server is stopped, three clients connect and speak.");
    server.pause()?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(server.address)?;
        client.write_all(b"hello")?;
        clients.push(client);
    }
    until("they are in the queue", || Ok(net::backlog(server.address)? == 3))?;
    server.signal(Signal::SIGCONT)?;
    let mut answers = [[0; 5]; 3];
    for (client, answer) in clients.iter_mut().zip(&mut answers) {
        client.read_exact(answer)?;
    }
    observe("in the queue", "3, one edge");
    observe("answered", answers.iter().filter(|a| *a == b"hello").count());
    prove("it accepts until EAGAIN, all of them", answers == [*b"hello"; 3])?;

    step("The first sends as much as goes in, and reads nothing.");
    let pattern: Vec<u8> = (0..PERIOD + 65536).map(|n| (n % PERIOD) as u8).collect();
    let slow = clients.remove(0);
    let (own, its) = (slow.local_addr()?, server.address);
    let (memory, mut sent, mut queues) = (proc::anonymous(server.pid())?, 0, [0; 4]);
    slow.set_nonblocking(true)?;
    until("nothing more goes in, and the server waits for room", || {
        let before = sent;
        while let Ok(n) = (&slow).write(&pattern[sent % PERIOD..]) {
            sent += n;
        }
        Ok(sent == before && for_writing(&server)? == 1)
    })?;
    until("all that has arrived is acknowledged", || {
        let (near, far) = (net::connection(own, its)?, net::connection(its, own)?);
        let (near, far) = near.zip(far).context("it has been closed")?;
        let now = [near.unacknowledged, far.unread, far.unacknowledged, near.unread];
        let rests = std::mem::replace(&mut queues, now) == now;
        Ok(rests && now.iter().sum::<usize>() <= sent)
    })?;
    let rest = sent - queues.iter().sum::<usize>();
    let grown = proc::anonymous(server.pid())?.0.saturating_sub(memory.0) as usize;
    observe("it could send", kib(sent));
    let [send, recv, its_send, its_recv] = queues.map(kib);
    observe("of that, its own Send-Q", send);
    observe("Recv-Q, Send-Q of the server", format!("{recv}, {its_send}"));
    observe("its own Recv-Q", its_recv);
    observe("in none of them", format!("{rest} bytes"));
    observe("the server's memory grew by", kib(grown));
    observe("watched for room to write", for_writing(&server)?);
    let bounded = rest <= 16384 && grown <= 65536;
    prove("the server remembers one buffer, and reads no more", bounded)?;
    prove("so the rest stays with him who sends", queues[0] > 0)?;

    step("Meanwhile the second one speaks. Then the first one reads.");
    clients[0].write_all(b"and I?")?;
    let mut answer = [0; 6];
    clients[0].read_exact(&mut answer)?;
    slow.set_nonblocking(false)?;
    let (mut got, mut buffer) = (0, vec![0; 65536]);
    while got < sent {
        let n = (&slow).read(&mut buffer)?;
        if n == 0 || buffer[..n] != pattern[got % PERIOD..][..n] {
            break;
        }
        got += n;
    }
    until("no client is watched for writing", || Ok(for_writing(&server)? == 0))?;
    observe("the second one reads", String::from_utf8_lossy(&answer));
    observe("the first one reads", format!("{} of {}", kib(got), kib(sent)));
    observe("watched for room to write", for_writing(&server)?);
    prove("the others did not have to wait", &answer == b"and I?")?;
    prove("nothing is lost, and all of it in order", got == sent)?;

    step("The server may open one more descriptor. Two clients come and speak.");
    let open = proc::descriptors(server.pid(), server.pid())?.len();
    limit(&server, open + 1)?;
    let mut two = [TcpStream::connect(its)?, TcpStream::connect(its)?];
    two.iter_mut().try_for_each(|client| client.write_all(b"hello"))?;
    two[0].read_exact(&mut [0; 5])?;
    until("the server sleeps", || server.waits_in(proc::EPOLL_WAIT))?;
    let queued = net::backlog(its)?;
    drop(clients.remove(0));
    let mut late = [0; 5];
    two[1].read_exact(&mut late)?;
    observe("in the queue", queued);
    observe("meanwhile the server", "slept in epoll_wait(2)");
    observe("one leaves, and it reads", String::from_utf8_lossy(&late));
    prove("no descriptor: it waits, and costs nothing", queued == 1)?;
    prove("the server thinks of it when one is free", &late == b"hello")?;

    step("One sends 3 bytes; before the server reads them comes Ctrl-C.");
    server.interrupt_after(&two[0], "bye")?;
    let mut rest = String::new();
    two[0].read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("it reads to the end", &rest);
    observe("the server ends with", status);
    prove("what has arrived is answered", rest == "bye" && status.success())
}

/// Each byte tells its place, modulo this.
const PERIOD: usize = 251;

/// How many sockets the server has the kernel watch for room to write.
fn for_writing(server: &Server) -> Result<usize> {
    let descriptors = proc::descriptors(server.pid(), server.pid())?;
    let epoll = descriptors.iter().find(|(_, name)| name.contains("[eventpoll]"));
    let (epoll, _) = epoll.context("the server has no epoll")?;
    let watched = proc::watched(server.pid(), *epoll)?;
    let writes = |one: &&proc::Watched| one.flags & libc::EPOLLOUT as u32 != 0;
    Ok(watched.iter().filter(writes).count())
}

/// From now on the server may have so many descriptors.
fn limit(server: &Server, descriptors: usize) -> Result<()> {
    let most = descriptors as u64;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    let (pid, resource) = (server.pid(), libc::RLIMIT_NOFILE);
    // SAFETY: the new limit is read from `limit`; the old one is not asked for.
    let result =
        unsafe { libc::prlimit(pid, resource, &limit, std::ptr::null_mut()) };
    Errno::result(result).map(drop).context("prlimit")
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes >> 10)
}
