//! Believes that a guest is accepted when the one before has left.

use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let mut others: Vec<TcpStream> = Vec::new();
    for number in 1.. {
        let (guest, _) = listener.accept()?;
        let mut reader = BufReader::new(guest.try_clone()?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            for other in &mut others {
                let _ = other.write_all(format!("{number}: ").as_bytes());
                let _ = other.write_all(&line);
            }
            line.clear();
        }
        others.push(guest);
    }
    Ok(())
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise19 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
