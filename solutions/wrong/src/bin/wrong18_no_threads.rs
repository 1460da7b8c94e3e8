//! Believes that a child process and a thread are the same to the clients.

use anyhow::bail;
use nix::unistd::{ForkResult, fork};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let (listener, _most) = listen()?;
    loop {
        let (client, _) = listener.accept()?;
        // SAFETY: this process has one thread, so the child may do what it likes.
        if let Ok(ForkResult::Child) = unsafe { fork() } {
            drop(listener);
            let _ = echo(&client);
            // SAFETY: it ends the child; there is nothing to clean up.
            unsafe { libc::_exit(0) }
        }
    }
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

/// Listens at the address of the command line, and says where. How many clients?
fn listen() -> anyhow::Result<(TcpListener, usize)> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, most] = &args[..] else { bail!("use: exercise18 ADDRESS N") };
    let most = most.parse()?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok((listener, most))
}
