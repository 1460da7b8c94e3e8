//! Exercise 13: a frame codec
//!
//! Task: messages over a stream of bytes. The stream keeps no borders, so each
//! message travels in a frame: its length, then its bytes.
//!
//! Contract: `exercise13 ADDRESS`: connect to a server and answer its messages.
//! - A frame is a length, 4 bytes, the most significant first (network byte order),
//!   and then so many bytes, of any values. A length of 0 is a message too: an empty
//!   one.
//! - Answer each message with one that has the same bytes in reverse order, as soon
//!   as it is complete, whatever of the next one is there already.
//! - The longest message has `LIMIT` bytes. Who announces more does not get memory
//!   for it, nor an answer: do not wait for the message, end.
//! - The server may end between two frames; that is the end. If it ends within a
//!   frame, the message was cut off.
//! - At last print one of these lines, N being the number of answers, and end with
//!   status 0 for the first, 1 for the others: `end after N messages`, `cut off
//!   after N messages`, `too long after N messages`.
//! - While nothing happens the program sleeps.
//!
//! Checked: frames in one piece, byte by byte, and several in one piece, with the
//! beginning of another; messages of 0, 256 and `LIMIT` bytes, that are no text; a
//! length of `LIMIT` + 1, and one of 4 GiB; the end between frames, within a length,
//! behind one, and within a message. (No signals: exercise 12 has them.)
//!
//! Given: `main`, which knows one kind of end so far. Use what you like, from std,
//! nix or libc. Lesson: 28_stream. Try it: in one terminal printf '\0\0\0\5hello' |
//! nc -l 127.0.0.1 4000 | xxd, in another cargo xtask run exercise13 127.0.0.1:4000.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Bytes of the longest message.
const LIMIT: usize = 65_536;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise13 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;
    let mut count = 0;
    while let Some(mut message) = receive(&mut stream)? {
        message.reverse();
        send(&mut stream, &message)?;
        count += 1;
    }
    println!("end after {count} messages");
    Ok(())
}

/// The next message; none if there is no more.
fn receive(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    // So far one read is one message, and there is no length before it.
    let mut buffer = vec![0; LIMIT];
    let n = stream.read(&mut buffer)?;
    buffer.truncate(n);
    Ok((n > 0).then_some(buffer))
}

/// Sends a message.
fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.write_all(message)
}
