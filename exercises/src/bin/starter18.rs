//! Exercise 18: a thread server for at most N clients
//!
//! Task: a server that serves each client in a thread of its own, and refuses those
//! for whom it has no slot.
//!
//! Contract: `exercise18 ADDRESS N`
//! - Listen at ADDRESS and print `listening on ADDRESS` as the first line, with the
//!   real port (it may be asked for port 0). A hundred clients may wait there to be
//!   accepted, as with std.
//! - Start a thread for each client as soon as it comes. It sends back whatever the
//!   client sends, until the client sends no more. The client then sees the end:
//!   after its last byte has come back, its read returns 0.
//! - At most N clients are served at a time. One more is not kept waiting: it reads
//!   the line `too many clients, come again` and then the end, even if it has sent
//!   something (up to 4096 bytes) before it was accepted. Then the server is done
//!   with it: it has closed the connection, and does not wait for anything from that
//!   client.
//! - When a client has left, however it left, there is room for another one, and
//!   nothing is left of its thread and its connection.
//! - The server goes on for ever, whatever happens to its clients and threads. While
//!   nobody wants anything it sleeps.
//!
//! Checked: threads that start only when main has accepted several clients; one
//! client too many, before and after others have left; several too many at once;
//! connections that are broken off, also in the middle of an answer; memory after a
//! hundred clients; a quarter of a million bytes at once beside a client that does
//! not read.
//!
//! Given: `echo` and `listen`. Use std, nix or libc. Lesson: 39_thread_server.
//! Try it: cargo xtask run exercise18 127.0.0.1:8888 2, and in three other terminals
//! nc 127.0.0.1 8888, or cargo run --bin 39_thread_server -- client 127.0.0.1:8888.

use anyhow::bail;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let (listener, _most) = listen()?;
    loop {
        let (client, _) = listener.accept()?;
        // Do this in a new thread, for `_most` clients at a time.
        echo(&client)?;
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
