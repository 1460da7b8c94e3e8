//! Believes that all calls that tell who is ready are the same.

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

/// What a client may have in the server's memory.
const BUFFER: usize = 16384;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let mut watched = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        watched.extend(clients.iter().map(Client::watched));
        poll(&mut watched, PollTimeout::NONE)?;
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            clients.push(Client { stream, buffer: [0; BUFFER], filled: 0, sent: 0 });
        }
        clients.retain_mut(|client| match client.go_on() {
            Err(e) => e.kind() == ErrorKind::WouldBlock,
            Ok(()) => false,
        });
    }
}

struct Client {
    stream: TcpStream,
    buffer: [u8; BUFFER],
    /// So much of the buffer was read, and so much of that is sent.
    filled: usize,
    sent: usize,
}

impl Client {
    fn watched(&self) -> PollFd<'_> {
        let wanted = match self.sent < self.filled {
            true => PollFlags::POLLOUT,
            false => PollFlags::POLLIN,
        };
        PollFd::new(self.stream.as_fd(), wanted)
    }

    /// Ok is the end of the client, after all is sent.
    fn go_on(&mut self) -> std::io::Result<()> {
        loop {
            while self.sent < self.filled {
                let rest = &self.buffer[self.sent..self.filled];
                self.sent += self.stream.write(rest)?;
            }
            self.filled = self.stream.read(&mut self.buffer)?;
            self.sent = 0;
            if self.filled == 0 {
                return Ok(());
            }
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
