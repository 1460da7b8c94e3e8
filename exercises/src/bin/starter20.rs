//! Exercise 20: an edge-triggered echo server, 1 MiB each way
//!
//! Task: one thread serves all clients, and never waits for one of them.
//!
//! Contract: `exercise20 ADDRESS`
//! - Listen at ADDRESS and print `listening on ADDRESS` as the first line, with the
//!   real port (it may be asked for port 0). A hundred clients may wait there to be
//!   accepted, as with std.
//! - Send back to each client whatever it sends, until it sends no more. The client
//!   then sees the end: after its last byte has come back, its read returns 0. It
//!   may send its end long before it reads its answer.
//! - One process and one thread. It sleeps in epoll_wait and nowhere else, and the
//!   clients' connections are watched with EPOLLET.
//! - A client that reads slowly, or not at all, loses nothing and keeps nobody
//!   waiting. It costs little memory, however much it sends (64 KiB will do): the
//!   server does not read from it while it cannot send to it.
//! - When a client has left, however it left, nothing of it stays open.
//! - The server goes on for ever, whatever happens to its clients. While nobody can
//!   be served it sleeps.
//!
//! Checked: several clients, data and ends that come before the server looks, so
//! that they are one event; a client that sends and does not read, and later reads;
//! an end that comes before the answer is read; connections that are broken off;
//! memory; eight clients with 1 MiB each at the same time.
//!
//! Given: `listen`. Use std, nix (nix::sys::epoll) or libc. Lesson: 44_epoll_server,
//! and 43_epoll before it. Try it: cargo xtask run exercise20 127.0.0.1:8888, and in
//! two other terminals nc 127.0.0.1 8888.

use anyhow::Context;
use std::io::{Read, Write};
use std::net::TcpListener;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    loop {
        // Do this for all clients at once, with epoll.
        let (mut client, _) = listener.accept()?;
        let mut buffer = [0; 16384];
        loop {
            match client.read(&mut buffer)? {
                0 => break,
                n => client.write_all(&buffer[..n])?,
            }
        }
    }
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise20 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
