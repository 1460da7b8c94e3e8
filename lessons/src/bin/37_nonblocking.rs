//! What if accept does not wait?
//!
//! With O_NONBLOCK a call that would have to wait returns at once: -1, EAGAIN. So
//! one thread can ask all its clients in turn, and has to ask for ever.
//! Predict: three clients are connected and nobody speaks. What does it cost?
//! Neighbours: 36_iterative, 41_select, 44_epoll_server.

use anyhow::Result;
use lessons::net::{self, State};
use lessons::serve::{Role, Server, Stop, errno, shut_reading};
use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno::{EAGAIN, ECONNABORTED, EINVAL, EMFILE, ENFILE};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::accept;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, _) => serve(listener, &Stop::new()?),
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send. It never waits: it asks them all in turn.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    listener.set_nonblocking(true)?;
    stop.shuts(&listener);
    let mut clients: Vec<Client> = Vec::new();
    while !(stop.requested() && clients.is_empty()) {
        match errno(listener.accept()) {
            Ok((client, _)) => clients.push(Client::new(client)?),
            // Nobody is there, or is gone again, or has to wait for a descriptor.
            Err(EAGAIN | ECONNABORTED | EMFILE | ENFILE) => {}
            Err(EINVAL) if stop.requested() => {}
            Err(e) => return Err(e.into()),
        }
        if stop.requested() {
            clients.iter().for_each(|c| shut_reading(&c.stream));
        }
        clients.retain_mut(|client| match errno(client.echo()) {
            Ok(n) => n > 0,
            // Not now. Any other error is the end of that client only.
            Err(e) => e == EAGAIN,
        });
    }
    Ok(())
}

/// Who cannot wait has to remember where it was.
struct Client {
    stream: TcpStream,
    buffer: Box<[u8]>,
    sent: usize,
    read: usize,
}

impl Client {
    fn new(stream: TcpStream) -> Result<Client> {
        stream.set_nonblocking(true)?;
        Ok(Client { stream, buffer: vec![0; 16384].into(), sent: 0, read: 0 })
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

fn scene() -> Result<()> {
    lessons::open("What if accept does not wait?");

    step("accept(2) with O_NONBLOCK, without a client and with one.");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let nobody = errno(listener.accept()).map(drop);
    let mut client = come(1, address)?.remove(0);
    let (mut accepted, its_address) = listener.accept()?;
    let flags = fcntl(&accepted, FcntlArg::F_GETFL)?;
    let fd = accepted.as_raw_fd();
    observe("nobody there, somebody there", format!("{nobody:?}, Ok({fd})"));
    prove("EAGAIN: nobody, for the moment", nobody == Err(EAGAIN))?;
    prove("on Linux the new one would wait", flags & libc::O_NONBLOCK == 0)?;

    step("read(2) with O_NONBLOCK: the client says nothing, speaks, and leaves.");
    accepted.set_nonblocking(true)?;
    let silent = errno(accepted.read(&mut [0; 16]));
    client.write_all(b"hello")?;
    until("5 bytes wait", || Ok(net::unread(address, its_address)? == 5))?;
    let spoke = errno(accepted.read(&mut [0; 16]));
    drop(client);
    let left = State::CloseWait;
    until("it has left", || Ok(net::state(address, its_address)? == left))?;
    let left = errno(accepted.read(&mut [0; 16]));
    observe("silent, speaking, gone", format!("{silent:?}, {spoke:?}, {left:?}"));
    prove("EAGAIN: nothing, for the moment", silent == Err(EAGAIN))?;
    prove("0: nothing any more", (spoke, left) == (Ok(5), Ok(0)))?;
    drop(accepted);

    step("As in C: one variable, cfd, and three clients come.");
    let three = come(3, address)?;
    let mut cfd = -1;
    while let Ok(next) = accept(listener.as_raw_fd()) {
        cfd = next;
    }
    let open = net::accepted(address)?;
    let end = net::state(three[0].local_addr()?, address)?;
    observe("cfd", cfd);
    observe("open descriptors of clients", open);
    observe("the first one's connection", end);
    prove("two have no name any more, and stay open", open == 3)?;
    prove("even the first one is still connected", end == State::Established)?;

    step("In Rust: one variable, and three more come.");
    let mut more = come(3, address)?;
    let mut client = None;
    while let Ok((next, _)) = listener.accept() {
        client = Some(next); // What it held until now is dropped, and so closed.
    }
    let first = errno(more[0].read(&mut [0; 16]));
    let open = net::accepted(address)? - open;
    observe("open descriptors of clients", format!("{open} more"));
    observe("the first one reads", format!("{first:?}"));
    prove("nothing leaks, but the first is sent away", (open, first) == (1, Ok(0)))?;
    drop(client);

    step("A server with a list. Three clients stay, the last one speaks first.");
    let server = Server::start(&[])?;
    let connect = |_| TcpStream::connect(server.address);
    let mut three = (0..3).map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut answers = [[0; 5]; 3];
    for (client, answer) in three.iter_mut().zip(&mut answers).rev() {
        client.write_all(b"hello")?;
        client.read_exact(answer)?;
    }
    let threads = proc::threads(server.pid())?;
    let all = answers == [*b"hello"; 3];
    observe("all are answered, threads", format!("{all}, {threads}"));
    prove("one thread serves them all", all && threads == 1)?;

    step("Now nobody speaks.");
    let used = || proc::cpu_time(server.pid());
    let slept = || proc::sleeps(server.pid(), server.pid());
    let (start, later, before) = (Instant::now(), used()? + ONE_TENTH, slept()?);
    until("it has used 100 ms more", || Ok(used()? >= later))?;
    let times = slept()? - before;
    observe("processor time it used", "100 ms");
    observe("time that passed", format!("{} ms", start.elapsed().as_millis()));
    observe("how often it slept", times);
    prove("to ask again and again is work, for nothing", times == 0)?;

    step("One sends 3 bytes; before the server reads them comes Ctrl-C.");
    server.interrupt_after(&three[0], "bye")?;
    let mut rest = String::new();
    three[0].read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("it reads to the end", &rest);
    observe("the server ends with", status);
    prove("what has arrived is answered", rest == "bye" && status.success())
}

const ONE_TENTH: Duration = Duration::from_millis(100);

/// So many clients, all of them in the queue of accept(2).
fn come(number: usize, server: SocketAddr) -> Result<Vec<TcpStream>> {
    let connect = |_| TcpStream::connect(server);
    let clients = (0..number).map(connect).collect::<io::Result<_>>()?;
    until("they are in the queue", || Ok(net::backlog(server)? == number))?;
    Ok(clients)
}
