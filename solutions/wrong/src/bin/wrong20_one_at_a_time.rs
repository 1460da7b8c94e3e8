//! Believes that one thread can serve one client at a time.

use anyhow::Context;
use std::io::{Read, Write};
use std::net::TcpListener;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    loop {
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
