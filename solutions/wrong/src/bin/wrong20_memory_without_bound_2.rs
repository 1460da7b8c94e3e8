//! Believes that a larger buffer makes a faster server.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::epoll::{
    Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout,
};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// What a client may have in the server's memory.
const BUFFER: usize = 1 << 20;

/// The number by which epoll tells of the listening socket. A client's is its
/// descriptor's.
const LISTENER: u64 = u64::MAX;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    // To accept until EAGAIN takes a socket that does not block.
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll.add(&listener, EpollEvent::new(edge, LISTENER))?;
    let mut clients = HashMap::new();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            let number = event.data();
            if number == LISTENER {
                accept_all(&listener, &epoll, &mut clients)?;
            } else if let Some(client) = clients.get_mut(&number) {
                match client.go_on() {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    // Its end, or an error, which is its end too. To drop it closes
                    // the descriptor, and epoll forgets that by itself.
                    Ok(()) | Err(_) => drop(clients.remove(&number)),
                }
            }
        }
    }
}

/// One event can stand for several clients.
fn accept_all(
    listener: &TcpListener,
    epoll: &Epoll,
    clients: &mut HashMap<u64, Client>,
) -> anyhow::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            // That client has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
            Err(e) => return Err(e.into()),
        };
        stream.set_nonblocking(true)?;
        let number = stream.as_raw_fd() as u64;
        // If something has come already, that is the first event.
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&stream, EpollEvent::new(edge, number))?;
        clients.insert(number, Client::new(stream));
    }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// So much of the buffer was read, and so much of that is sent.
    filled: usize,
    sent: usize,
}

impl Client {
    fn new(stream: TcpStream) -> Client {
        // Not zeros: pages of those would not be there before they are used.
        let buffer = vec![b' '; BUFFER];
        Client { stream, buffer, filled: 0, sent: 0 }
    }

    /// Sends and reads until the kernel says EAGAIN (`WouldBlock`). Ok is the end of
    /// the client, after all is sent.
    ///
    /// It reads only when nothing is left to be sent. So if it cannot send it sleeps
    /// until there is room, whatever comes; and when there is, it reads on, although
    /// what was there before is no new event.
    fn go_on(&mut self) -> std::io::Result<()> {
        loop {
            while self.sent < self.filled {
                let rest = &self.buffer[self.sent..self.filled];
                self.sent += retried(|| self.stream.write(rest))?;
            }
            self.filled = retried(|| self.stream.read(&mut self.buffer))?;
            self.sent = 0;
            if self.filled == 0 {
                return Ok(());
            }
        }
    }
}

/// A signal has come between; nothing has happened to the call.
fn retried(
    mut call: impl FnMut() -> std::io::Result<usize>,
) -> std::io::Result<usize> {
    loop {
        match call() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise20 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
