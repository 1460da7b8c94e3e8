//! Exercise 17: a fork echo server
//!
//! Task: a server that serves each client in a process of its own.
//!
//! Contract: `exercise17 ADDRESS`
//! - Listen at ADDRESS and print `listening on ADDRESS` as the first line, with the
//!   real port (it may be asked for port 0). A hundred clients may wait there to be
//!   accepted, as with std.
//! - Start a process for each client as soon as it comes, and not before. That
//!   process sends back whatever the client sends, until the client sends no more;
//!   then it ends.
//! - The client then sees the end: after its last byte has come back, its read
//!   returns 0.
//! - A process has open what it needs: the server not the clients' connections, a
//!   client's process neither the listening socket nor another client's connection.
//! - When a client's process has ended nothing is left of it, not even a zombie, and
//!   not only when the next client comes.
//! - The server goes on for ever, whatever happens to its clients and children, and
//!   also when it has been stopped and continued (Ctrl-Z, fg). While nobody wants
//!   anything it sleeps.
//!
//! Checked: clients that come, stay, and speak in another order; what each process
//! has open; the end of a connection; many ends at the same moment, and one just
//! before the server waits; a client that breaks its connection off; a client's
//! process that is killed; a quarter of a million bytes at once, not all of them
//! text.
//!
//! Given: `listen`. Use std, nix or libc. Lesson: 38_fork_server. Try it:
//! cargo xtask run exercise17 127.0.0.1:8888, and in two other terminals nc
//! 127.0.0.1 8888, or cargo run --bin 38_fork_server -- client 127.0.0.1:8888.

use anyhow::Context;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    loop {
        let (client, _) = listener.accept()?;
        // Do this in a new process.
        echo(client)?;
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
