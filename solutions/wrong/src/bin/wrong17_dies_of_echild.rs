//! Believes that waitpid fails only if something is wrong.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let action = SigAction::new(
        SigHandler::Handler(reap),
        // accept(2) goes on after the handler; std would call it again anyway.
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: what a handler may call is signal-safety(7); a panic is not among it.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            // That client has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
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

/// Takes all children that have ended: one signal may stand for several.
extern "C" fn reap(_: libc::c_int) {
    let errno = Errno::last_raw();
    while waitpid(None, Some(WaitPidFlag::WNOHANG)).expect("waitpid")
        != WaitStatus::StillAlive
    {}
    Errno::set_raw(errno);
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
