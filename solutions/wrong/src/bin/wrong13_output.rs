//! Believes that a line tells the reason, and the status only whether it crashed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// Bytes of the longest message.
const LIMIT: usize = 65_536;

enum Received {
    Message(Vec<u8>),
    End,
    CutOff,
    TooLong,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise13 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;
    let mut count = 0;
    let end = loop {
        match receive(&mut stream)? {
            Received::Message(mut message) => {
                message.reverse();
                send(&mut stream, &message)?;
                count += 1;
            }
            Received::End => break "end",
            Received::CutOff => break "cut off",
            Received::TooLong => break "too long",
        }
    };
    println!("{end} after {count} messages");
    // Whatever the line says, this is status 0.
    Ok(())
}

/// The next message, or how the stream has come to its end.
fn receive(stream: &mut TcpStream) -> std::io::Result<Received> {
    let mut length = [0; 4];
    match read_full(stream, &mut length)? {
        0 => return Ok(Received::End),
        4 => {}
        _ => return Ok(Received::CutOff),
    }
    let length = u32::from_be_bytes(length) as usize;
    // A stranger has chosen this number: no memory before it is found sensible.
    if length > LIMIT {
        return Ok(Received::TooLong);
    }
    let mut message = vec![0; length];
    let n = read_full(stream, &mut message)?;
    Ok(if n == length { Received::Message(message) } else { Received::CutOff })
}

/// Sends a message, in one piece.
fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = (message.len() as u32).to_be_bytes();
    stream.write_all(&[&length, message].concat())
}

/// Reads until the buffer is full or the server has ended; returns how much.
fn read_full(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match stream.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(length)
}
