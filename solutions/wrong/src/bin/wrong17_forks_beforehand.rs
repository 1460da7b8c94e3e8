//! Believes that each process can accept its client by itself.

use anyhow::Context;
use nix::sys::wait::wait;
use nix::unistd::{ForkResult, fork};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let mut children = 0;
    loop {
        while children < 16 {
            // SAFETY: this process has one thread, so the child may do what it
            // likes.
            if let ForkResult::Child = unsafe { fork()? } {
                let client = listener.accept().map(|(client, _)| client);
                drop(listener);
                // An error is the end of this client's connection, and so of this.
                let _ = client.and_then(echo);
                // SAFETY: it ends the child; there is nothing to clean up.
                unsafe { libc::_exit(0) }
            }
            children += 1;
        }
        wait()?;
        children -= 1;
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
