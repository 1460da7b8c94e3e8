//! Believes that a child that ends badly is an error of the server.

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let mut end_of_child = SigSet::empty();
    end_of_child.add(Signal::SIGCHLD);
    // Blocked, it stays pending until `wait` takes it.
    end_of_child.thread_block()?;
    std::thread::spawn(move || {
        loop {
            end_of_child.wait().expect("sigwait");
            reap();
        }
    });
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            // That client has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
            Err(e) => return Err(e.into()),
        };
        // SAFETY: the child uses descriptors and its stack only, no lock and no
        // memory of the other thread's.
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
fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, 0)) => {}
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            other => {
                eprintln!("a child has failed: {other:?}");
                std::process::exit(1);
            }
        }
    }
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
