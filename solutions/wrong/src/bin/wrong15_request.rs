//! Believes that an empty line is no question.

use anyhow::Context;
use std::io::BufRead;
use std::io::ErrorKind::{ConnectionRefused, Interrupted, WouldBlock};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// An answer has at most so many bytes.
const LONGEST: usize = 1000;

fn main() -> anyhow::Result<()> {
    let options = Options::from_args()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(options.server)?;
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        match ask(&socket, &options, number, &line) {
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
        let end = Instant::now() + options.limit;
        // One byte more, so that a longer answer shows.
        let mut buffer = [0; LONGEST + 1];
        while let Some(size) = receive_until(socket, &mut buffer, end)? {
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

/// Receives a datagram; none if that takes longer than until `end`.
fn receive_until(
    socket: &UdpSocket,
    buffer: &mut [u8],
    end: Instant,
) -> std::io::Result<Option<usize>> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(buffer) {
            // The time is over, or a signal has come: the clock tells which.
            Err(e) if [WouldBlock, Interrupted].contains(&e.kind()) => {}
            result => return result.map(Some),
        }
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
