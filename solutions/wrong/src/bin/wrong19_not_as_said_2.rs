//! Believes that a line without a word is none.

use anyhow::Context;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

/// The longest line, and the most that is kept for a guest who does not read.
const LINE: usize = 1024;
const MOST: usize = 65536;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let mut guests: Vec<Guest> = Vec::new();
    let mut came = 0;
    loop {
        let ready = wait(&listener, &guests)?;
        for (index, &what) in ready[1..].iter().enumerate() {
            if what.contains(PollFlags::POLLOUT) {
                guests[index].send();
            }
            // To read, at its end, or broken off.
            if what != PollFlags::POLLOUT && !what.is_empty() {
                let lines = guests[index].read_lines();
                for (other, guest) in guests.iter_mut().enumerate() {
                    if other != index {
                        guest.tell(&lines);
                    }
                }
            }
        }
        guests.retain(|guest| guest.here);
        if !ready[0].is_empty() {
            accept_all(&listener, &mut guests, &mut came)?;
        }
    }
}

/// Sleeps until the listening socket, which comes first, or some guest is ready.
fn wait(listener: &TcpListener, guests: &[Guest]) -> nix::Result<Vec<PollFlags>> {
    let mut fds = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    for guest in guests {
        let mut what = PollFlags::POLLIN;
        // There is mostly room to write: only who waits for it asks.
        what.set(PollFlags::POLLOUT, !guest.told.is_empty());
        fds.push(PollFd::new(guest.stream.as_fd(), what));
    }
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
            Ok(_) => {
                let ready =
                    fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::all()));
                return Ok(ready.collect());
            }
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
        let (mut lines, mut buffer) = (Vec::new(), [0; 16384]);
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
            if self.said == b"\n" {
                self.said.clear();
            } else if part.ends_with(b"\n") {
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
