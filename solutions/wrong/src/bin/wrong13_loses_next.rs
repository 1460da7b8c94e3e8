//! Believes that a read ends where the message ends.

use std::io::{Read, Write};
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
    let mut frame = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece)?;
        if n == 0 {
            let cut_off = !frame.is_empty();
            return Ok(if cut_off { Received::CutOff } else { Received::End });
        }
        frame.extend_from_slice(&piece[..n]);
        let Some((length, message)) = frame.split_first_chunk() else { continue };
        let length = u32::from_be_bytes(*length) as usize;
        if length > LIMIT {
            return Ok(Received::TooLong);
        }
        if let Some(message) = message.get(..length) {
            return Ok(Received::Message(message.to_vec()));
        }
    }
}

/// Sends a message, in one piece.
fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = (message.len() as u32).to_be_bytes();
    stream.write_all(&[&length, message].concat())
}
