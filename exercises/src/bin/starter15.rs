//! Exercise 15: a UDP request with timeout and retry
//!
//! Task: ask a server by UDP. It promises nothing: a request or its answer may be
//! lost, late, doubled, empty, longer than expected, or from somebody else.
//!
//! Contract: `exercise15 SERVER LIMIT TRIES`: the server's address and port, a
//! number of milliseconds, and how often a request is sent at most.
//! - Each line of standard input is a question, an empty one as well. Send it as it
//!   is in a datagram, `NUMBER QUESTION`: a decimal number, a blank, the line. No
//!   two questions of one run have the same number.
//! - Its answer is a datagram from the server, `NUMBER TEXT`, with that number.
//!   Print `> TEXT`, with TEXT (UTF-8) as it came: it may be empty, or begin and end
//!   with blanks.
//! - If there is no answer LIMIT milliseconds after a request, send the same
//!   datagram again, from the same port. If there is none after request number TRIES
//!   either, print `no answer`.
//! - Whatever else comes is no answer, for instance an empty datagram, one with
//!   another number, with none, or from another sender. It changes nothing: no
//!   request is sent because of it, and the limit runs on.
//! - An answer has at most 1000 bytes, with its number. Of a longer one print `too
//!   long` and no part of it.
//! - If nobody listens at the server's port, which the kernel tells to a connected
//!   socket (ECONNREFUSED), print `nobody there`.
//! - So there is one line for each question, printed as soon as it is known; then
//!   comes the next question. When the input ends, end with status 0.
//! - While the program waits it sleeps, in a call that ends when something comes.
//!
//! Checked: questions and answers; a server that is silent, answers the second
//! request only, or twice; strangers; empty datagrams, some without a number or with
//! a longer one; answers of 1000 bytes and more; a server that is not there; old
//! answers that come again and again.
//!
//! Given: `Options`. Use std (set_read_timeout), or nix and libc; recv, or poll.
//! Lesson: 33_udp_connect. Try it: nc -u -l 127.0.0.1 4000 in one terminal, and here
//! cargo xtask run exercise15 127.0.0.1:4000 9000 3; type a question, and there 1, a
//! blank and an answer.

use anyhow::Context;
use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let options = Options::from_args()?;
    eprintln!("not heeded yet: {:?}, {} tries", options.limit, options.tries);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        // Whatever comes first is taken for the answer, and something must come.
        let request = format!("{number} {}", line?);
        socket.send_to(request.as_bytes(), options.server)?;
        let mut buffer = [0; 512];
        let size = socket.recv(&mut buffer)?;
        let answer = String::from_utf8_lossy(&buffer[..size]);
        let (_, text) = answer.split_once(' ').context("not an answer")?;
        println!("> {text}");
    }
    Ok(())
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
