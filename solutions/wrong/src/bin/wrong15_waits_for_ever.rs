//! Believes that an answer comes sooner or later.

use anyhow::Context;
use std::io::BufRead;
use std::io::ErrorKind::ConnectionRefused;
use std::net::{SocketAddr, UdpSocket};

/// An answer has at most so many bytes.
const LONGEST: usize = 1000;

fn main() -> anyhow::Result<()> {
    let options = Options::from_args()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(options.server)?;
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

/// Receives a datagram.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> std::io::Result<Option<usize>> {
    socket.recv(buffer).map(Some)
}

/// What the arguments say.
struct Options {
    server: SocketAddr,
    tries: u32,
}

impl Options {
    fn from_args() -> anyhow::Result<Options> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [server, _limit, tries] = &words[..] else {
            anyhow::bail!("usage: exercise15 SERVER LIMIT TRIES");
        };
        Ok(Options {
            server: server.parse().context("SERVER, as 127.0.0.1:4000")?,
            tries: tries.parse().context("TRIES")?,
        })
    }
}
