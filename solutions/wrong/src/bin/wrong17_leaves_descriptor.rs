//! Believes that the pidfd of a process goes when the process has gone.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, fork};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let action = SigAction::new(
        SigHandler::Handler(reap),
        // accept(2) goes on after the handler; std would call it again anyway.
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler calls waitpid alone, which signal-safety(7) allows.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    // To tell them all to end one day.
    let mut children = Vec::new();
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
            Ok(ForkResult::Parent { child }) => {
                children.extend(pidfd(child.as_raw()));
                drop(client);
            }
            // No process for this one. The others are not affected.
            Err(_) => drop(client),
        }
    }
}

/// None if it has ended already.
fn pidfd(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
    // SAFETY: it is new, and nobody else's.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes all children that have ended: one signal may stand for several.
extern "C" fn reap(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: nothing is written, because no place for the status is given.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
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
