//! Believes that select leaves its sets as they are.

use anyhow::Context;
use nix::errno::Errno;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// The longest line, and the most that is kept for a guest who does not read.
const LINE: usize = 1024;
const MOST: usize = 65536;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let mut guests: Vec<Guest> = Vec::new();
    let mut came = 0;
    // SAFETY: a set of zeros is an empty set.
    let mut reads: libc::fd_set = unsafe { std::mem::zeroed() };
    // SAFETY: all descriptors are below FD_SETSIZE: there are fewer than 100 guests.
    unsafe { libc::FD_SET(listener.as_raw_fd(), &mut reads) };
    loop {
        // SAFETY: as above.
        let mut writes: libc::fd_set = unsafe { std::mem::zeroed() };
        for guest in guests.iter().filter(|guest| !guest.told.is_empty()) {
            // SAFETY: as above.
            unsafe { libc::FD_SET(guest.stream.as_raw_fd(), &mut writes) };
        }
        let none = std::ptr::null_mut();
        let size = libc::FD_SETSIZE as i32;
        // SAFETY: both sets live on during the call; null means no set and no limit.
        let ready = unsafe {
            libc::select(size, &mut reads, &mut writes, none, std::ptr::null_mut())
        };
        if ready < 0 && Errno::last() != Errno::EINTR {
            return Err(Errno::last().into());
        }
        for index in 0..guests.len() {
            let fd = guests[index].stream.as_raw_fd();
            // SAFETY: as above.
            if unsafe { libc::FD_ISSET(fd, &writes) } {
                guests[index].send();
            }
            // SAFETY: as above.
            if unsafe { libc::FD_ISSET(fd, &reads) } {
                let lines = guests[index].read_lines();
                for (other, guest) in guests.iter_mut().enumerate() {
                    if other != index {
                        guest.tell(&lines);
                    }
                }
            }
        }
        for guest in guests.iter().filter(|guest| !guest.here) {
            // SAFETY: as above.
            unsafe { libc::FD_CLR(guest.stream.as_raw_fd(), &mut reads) };
        }
        guests.retain(|guest| guest.here);
        // SAFETY: as above.
        if unsafe { libc::FD_ISSET(listener.as_raw_fd(), &reads) } {
            let before = guests.len();
            accept_all(&listener, &mut guests, &mut came)?;
            for guest in &guests[before..] {
                // SAFETY: as above.
                unsafe { libc::FD_SET(guest.stream.as_raw_fd(), &mut reads) };
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
