//! Believes that an end before the first byte of a buffer is the end, whatever the
//! buffer is for.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

/// Bytes of the longest message.
const LIMIT: usize = 65_536;

enum Received {
    Message(Vec<u8>),
    End,
    CutOff,
    TooLong,
}

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise13 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;
    let mut count = 0;
    let (end, status) = loop {
        match receive(&mut stream)? {
            Received::Message(mut message) => {
                message.reverse();
                send(&mut stream, &message)?;
                count += 1;
            }
            Received::End => break ("end", 0),
            Received::CutOff => break ("cut off", 1),
            Received::TooLong => break ("too long", 1),
        }
    };
    println!("{end} after {count} messages");
    Ok(ExitCode::from(status))
}

/// The next message, or how the stream has come to its end.
fn receive(stream: &mut TcpStream) -> std::io::Result<Received> {
    let mut length = [0; 4];
    if let Some(end) = fill(stream, &mut length)? {
        return Ok(end);
    }
    let length = u32::from_be_bytes(length) as usize;
    // A stranger has chosen this number: no memory before it is found sensible.
    if length > LIMIT {
        return Ok(Received::TooLong);
    }
    let mut message = vec![0; length];
    let end = fill(stream, &mut message)?;
    Ok(end.unwrap_or(Received::Message(message)))
}

/// Sends a message, in one piece.
fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = (message.len() as u32).to_be_bytes();
    stream.write_all(&[&length, message].concat())
}

/// Fills the buffer; if the server has ended before that, says how.
fn fill(
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> std::io::Result<Option<Received>> {
    let mut length = 0;
    while length < buffer.len() {
        match stream.read(&mut buffer[length..]) {
            Ok(0) if length == 0 => return Ok(Some(Received::End)),
            Ok(0) => return Ok(Some(Received::CutOff)),
            Ok(n) => length += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}
