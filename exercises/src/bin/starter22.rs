//! Exercise 22: an HTTP/1.1 file server
//!
//! Task: serve the files of a folder to browsers, curl, and clients of ill will.
//!
//! Contract: `exercise22 ADDRESS FOLDER`
//! - Listen at ADDRESS and print `listening on ADDRESS` as the first line, with the
//!   real port (it may be asked for port 0). A hundred clients may wait there to be
//!   accepted, as with std.
//! - A request is a head: a line `METHOD TARGET HTTP/1.1` with one blank between
//!   the words, lines `Name: value`, an empty line; each ends with CR LF. The case
//!   of a name does not matter, nor do blanks around a value. Heads of 8000 bytes
//!   are served; one that goes on beyond 64 KiB is not read on: the connection
//!   ends, with a status of 4xx if you like.
//! - An answer is such a head, its first line `HTTP/1.1 STATUS REASON`, and then the
//!   body. Each answer has Content-Length, the number of bytes of the body.
//! - GET of a regular file below FOLDER: 200 and its bytes. TARGET is `/` and its
//!   name there, encoded: `%20` stands for a blank, `%FF` for a byte that is no
//!   text, `+` for itself. HEAD: the same head, no body.
//! - 404 for what is not there, is no regular file, or leads out of FOLDER. (400 or
//!   403 are as good for what leads out; links that stay below are as you like.)
//! - 405 for other methods, with `Allow: GET, HEAD`.
//! - 400 for what is no request, for a line without colon, and for one without Host.
//!   Where the next request begins is not known then, so the connection ends.
//! - Else the connection stays open for the next request, which may have come with
//!   this one; answers go out in the order of the requests. It ends when a request
//!   has said `Connection: close`, and when the client sends no more; what it has
//!   sent before is answered.
//! - A request of any method whose Content-Length is not 0 has a body. Nobody needs
//!   it here, and it is no request: read over it, or let the connection end with the
//!   answer.
//! - Clients (up to 64) are served at the same time, whatever others do or do not;
//!   the server goes on for ever. While nobody wants anything it sleeps.
//!
//! Checked: all of this; requests in pieces and several at once; clients that say
//! nothing, do not read, break off, or send what is no HTTP.
//!
//! Given: `listen`, `decode`. Use std, nix or libc. Lesson: 47_http_server. Try it:
//! cargo xtask run exercise22 127.0.0.1:8080 notes, and in another terminal
//! curl -i http://127.0.0.1:8080/SUMMARY.md (for odd paths: curl --path-as-is).

use anyhow::Context;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let folder =
        std::env::args().nth(2).context("use: exercise22 ADDRESS FOLDER")?;
    loop {
        let (client, _) = listener.accept()?;
        answer(client, &folder)?;
    }
}

/// A first draft: it believes that a read is a request, and that the file is there.
fn answer(mut client: TcpStream, folder: &str) -> anyhow::Result<()> {
    let mut buffer = [0; 1024];
    let n = client.read(&mut buffer)?;
    let request = String::from_utf8_lossy(&buffer[..n]);
    let target = request.split(' ').nth(1).context("no target")?;
    let name = decode(target).context("not encoded as it should be")?;
    // A name is bytes; they need not be text.
    let path = [folder.as_bytes(), b"/", &name].concat();
    let body = std::fs::read(OsStr::from_bytes(&path))?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    Ok(client.write_all(&body)?)
}

/// The bytes that a target stands for: `%20` is a blank. None if it is wrong.
fn decode(target: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut decoded) = (target.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit()? * 16 + digit()?) as u8,
            other => other,
        });
    }
    Some(decoded)
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address =
        std::env::args().nth(1).context("use: exercise22 ADDRESS FOLDER")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
