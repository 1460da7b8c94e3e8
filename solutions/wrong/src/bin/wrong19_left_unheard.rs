//! Believes that edge trigger reports as long as there is something to read.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::epoll::{
    Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// The longest line, and the most that is kept for a guest who does not read.
const LINE: usize = 1024;
const MOST: usize = 65536;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let mut guests: Vec<Guest> = Vec::new();
    let mut came = 0;
    loop {
        let mut events = [EpollEvent::empty(); 64];
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            let Some(index) =
                guests.iter().position(|g| g.number as u64 == event.data())
            else {
                continue;
            };
            guests[index].send();
            let lines = guests[index].read_lines();
            for (other, guest) in guests.iter_mut().enumerate() {
                if other != index {
                    guest.tell(&lines);
                }
            }
        }
        guests.retain(|guest| guest.here);
        let before = guests.len();
        accept_all(&listener, &mut guests, &mut came)?;
        for guest in &guests[before..] {
            let what =
                EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            epoll.add(&guest.stream, EpollEvent::new(what, guest.number as u64))?;
        }
    }
}

/// Lets in all who wait.
fn accept_all(
    listener: &TcpListener,
    guests: &mut Vec<Guest>,
    came: &mut usize,
) -> std::io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                *came += 1;
                let (said, told) = (Vec::new(), Vec::new());
                guests.push(Guest { stream, number: *came, said, told, here: true });
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            // That guest has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            Err(e) => return Err(e),
        }
    }
}

struct Guest {
    stream: TcpStream,
    number: usize,
    /// A line, until it is whole.
    said: Vec<u8>,
    /// What it has not taken yet.
    told: Vec<u8>,
    /// False: it is to be closed.
    here: bool,
}

impl Guest {
    /// Reads what is there; returns the lines that are whole now, as others hear them.
    fn read_lines(&mut self) -> Vec<u8> {
        let (mut lines, mut buffer) = (Vec::new(), [0; 1024]);
        let n = match self.stream.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => return lines,
            // Its end, in order or not, is the end of nobody else.
            Ok(0) | Err(_) => {
                self.here = false;
                return lines;
            }
            Ok(n) => n,
        };
        for part in buffer[..n].split_inclusive(|&byte| byte == b'\n') {
            self.said.extend_from_slice(part);
            if self.said.len() > LINE {
                self.here = false;
                break;
            }
            if part.ends_with(b"\n") {
                lines.extend_from_slice(format!("{}: ", self.number).as_bytes());
                lines.append(&mut self.said);
            }
        }
        lines
    }

    /// Sends it this, or keeps it, as far as there is room.
    fn tell(&mut self, lines: &[u8]) {
        let waits = !self.told.is_empty();
        self.told.extend_from_slice(lines);
        if !waits {
            self.send();
        }
        if self.told.len() > MOST {
            self.here = false;
        }
    }

    /// As much as the kernel takes now.
    fn send(&mut self) {
        if !self.here || self.told.is_empty() {
            return;
        }
        match self.stream.write(&self.told) {
            Ok(n) => drop(self.told.drain(..n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.here = false,
        }
    }
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise19 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
