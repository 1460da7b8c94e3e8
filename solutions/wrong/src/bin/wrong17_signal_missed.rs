//! Believes that who has looked at the handler's note can wait: nothing comes between
//! the look and the wait.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::accept;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

static ENDED: AtomicBool = AtomicBool::new(false);

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let action =
        SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing but store to an atomic.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    loop {
        if ENDED.swap(false, Ordering::SeqCst) {
            reap();
        }
        let client = match accept(listener.as_raw_fd()) {
            // SAFETY: accept(2) returns a descriptor that belongs to nobody else.
            Ok(fd) => unsafe { TcpStream::from_raw_fd(fd) },
            // The handler ran, or that client has gone before it was its turn.
            Err(Errno::EINTR | Errno::ECONNABORTED) => continue,
            Err(e) => return Err(e.into()),
        };
        // SAFETY: this process has one thread, so the child may do what it likes.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                drop(listener);
                // An error is the end of this client's connection, and so of this.
                let _ = echo(client);
                // SAFETY: it ends the child; there is nothing to clean up.
                unsafe { libc::_exit(0) }
            }
            // Until this copy is closed the client sees no end.
            Ok(ForkResult::Parent { .. }) => drop(client),
            // No process for this one. The others are not affected.
            Err(_) => drop(client),
        }
    }
}

extern "C" fn note(_: libc::c_int) {
    ENDED.store(true, Ordering::SeqCst);
}

/// Takes all children that have ended: one signal may stand for several.
fn reap() {
    while matches!(
        waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Ok(status) if status != WaitStatus::StillAlive
    ) {}
}

/// Sends back what comes.
fn echo(mut client: TcpStream) -> std::io::Result<()> {
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
