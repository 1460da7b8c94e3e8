//! Believes that a child needs to close the listening socket only.

use anyhow::Context;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, fork};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let action = SigAction::new(
        SigHandler::Handler(reap),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler calls waitpid alone, which signal-safety(7) allows.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    loop {
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        // All who have come, before any is served.
        let clients: Vec<TcpStream> = std::iter::from_fn(|| listener.accept().ok())
            .map(|(client, _)| client)
            .collect();
        for client in &clients {
            // SAFETY: this process has one thread, so the child may do what it
            // likes.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                drop(listener);
                // An error is the end of this client's connection, and so of this.
                let _ = echo(client);
                // SAFETY: it ends the child; there is nothing to clean up.
                unsafe { libc::_exit(0) }
            }
        }
    }
}

/// Takes all children that have ended: one signal may stand for several.
extern "C" fn reap(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: nothing is written, because no place for the status is given.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    Errno::set_raw(errno);
}

/// Sends back what comes.
fn echo(mut client: &TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 16384];
    loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            n => client.write_all(&buffer[..n])?,
        }
    }
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise17 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
