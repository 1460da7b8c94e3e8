//! Believes that the limit of recv is the limit of the whole waiting.

use anyhow::Context;
use std::io::BufRead;
use std::io::ErrorKind::{ConnectionRefused, WouldBlock};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// An answer has at most so many bytes.
const LONGEST: usize = 1000;

fn main() -> anyhow::Result<()> {
    let options = Options::from_args()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(options.server)?;
    socket.set_read_timeout(Some(options.limit))?;
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        match ask(&socket, &options, number, &line?) {
            Ok(Some(answer)) => println!("{answer}"),
            Ok(None) => println!("no answer"),
            Err(e) if e.kind() == ConnectionRefused => {
                println!("nobody there");
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The line to print about the answer, if there is one.
fn ask(
    socket: &UdpSocket,
    options: &Options,
    number: u32,
    question: &str,
) -> std::io::Result<Option<String>> {
    let begin = format!("{number} ");
    for _ in 0..options.tries {
        socket.send(format!("{begin}{question}").as_bytes())?;
        // One byte more, so that a longer answer shows.
        let mut buffer = [0; LONGEST + 1];
        while let Some(size) = receive(socket, &mut buffer)? {
            if let Some(text) = buffer[..size].strip_prefix(begin.as_bytes()) {
                let text = String::from_utf8_lossy(text);
                let whole = size <= LONGEST;
                let line = format!("> {text}");
                return Ok(Some(if whole { line } else { "too long".into() }));
            }
        }
    }
    Ok(None)
}

/// Receives a datagram; none if the limit is over.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> std::io::Result<Option<usize>> {
    match socket.recv(buffer) {
        Err(e) if e.kind() == WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// What the arguments say.
struct Options {
    server: SocketAddr,
    limit: Duration,
    tries: u32,
}

impl Options {
    fn from_args() -> anyhow::Result<Options> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [server, limit, tries] = &words[..] else {
            anyhow::bail!("usage: exercise15 SERVER LIMIT TRIES");
        };
        Ok(Options {
            server: server.parse().context("SERVER, as 127.0.0.1:4000")?,
            limit: Duration::from_millis(limit.parse().context("LIMIT")?),
            tries: tries.parse().context("TRIES")?,
        })
    }
}
