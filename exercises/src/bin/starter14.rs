//! Exercise 14: send everything, half-close, read the answer
//!
//! Task: ask a server that may need all of the question before it can answer. How
//! does it learn that it has all of it, and how does the answer come back then?
//!
//! Contract: `exercise14 ADDRESS`: connect to a server at once.
//! - All that comes on standard input goes to the server, unchanged, be it text or
//!   not. When the input has ended and all is sent, the server is told that nothing
//!   more will come (FIN). The program still listens.
//! - All that the server sends goes to standard output, unchanged, until the server
//!   ends too.
//! - The server may answer at the end, or before it has heard anything. Question and
//!   answer may be longer than the buffers on the way hold, and it may be that the
//!   server hears nothing more before its answer is taken.
//! - The server may end its answer first. The question is sent all the same.
//! - When both directions have ended the program ends with status 0. If the
//!   connection is broken off the answer is not complete: another status, whether a
//!   read fails or a write. (The kernel may report it to one of them only.)
//! - While nothing happens the program sleeps.
//!
//! Checked: short and long questions; an answer in two pieces; an answer at the end,
//! one before the question, one that ends first; when the server sees the end; a
//! connection that is broken off, within the answer and within the question; bytes
//! that are no text, in both directions.
//!
//! Given: `main`, which does one thing after the other. Use threads or poll; std,
//! nix, libc or socket2. Lesson: 29_shutdown; for a connection that is broken off
//! 30_reset. Try it: in one terminal nc -l 127.0.0.1 4000, in another
//! cargo xtask run exercise14 127.0.0.1:4000; type into both, and press Control-D in
//! one, then in the other.

use std::io::{Read, Write};
use std::net::TcpStream;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    let mut question = Vec::new();
    std::io::stdin().read_to_end(&mut question)?;
    stream.write_all(&question)?;

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    std::io::stdout().write_all(&answer)?;
    Ok(())
}
