//! Believes that a plus stands for a blank.

use anyhow::Context;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// The most that the head of a request may have.
const HEAD: u64 = 16384;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let folder =
        std::env::args().nth(2).context("use: exercise22 ADDRESS FOLDER")?;
    // As the kernel will name the files in it.
    let folder: Arc<Path> = fs::canonicalize(folder)?.into();
    loop {
        match listener.accept() {
            Ok((client, _)) => {
                let folder = folder.clone();
                // An error is the end of this connection and of nothing else.
                let serve = move || _ = converse(&client, &folder);
                // No thread for this one: it is closed. The others are not affected.
                let _ = std::thread::Builder::new().spawn(serve);
            }
            // That client has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Answers one request after the other. What the buffer has beyond a request is the
/// beginning of the next, so there is one buffer as long as there is the connection.
fn converse(client: &TcpStream, folder: &Path) -> io::Result<()> {
    let mut input = BufReader::new(client);
    while let Some(head) = read_head(&mut input)? {
        let request = head.and_then(|head| parse(&head));
        let (status, file, last, with_body) = match &request {
            None => ("400 Bad Request", None, true, true),
            Some(r) if r.method != "GET" && r.method != "HEAD" => {
                ("405 Method Not Allowed", None, r.last, true)
            }
            Some(r) => {
                let file = decode(&r.target).and_then(|name| open(folder, &name));
                let status = if file.is_some() { "200 OK" } else { "404 Not Found" };
                (status, file, r.last, r.method == "GET")
            }
        };
        let length = file.as_ref().map_or(0, |(_, length)| *length);
        let close = if last { "Connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAllow: GET, HEAD\r\n\
             {close}\r\n"
        );
        let mut output = client;
        output.write_all(head.as_bytes())?;
        if let (Some((file, length)), true) = (file, with_body) {
            // No more than was promised; less cannot be mended but by the end.
            if io::copy(&mut file.take(length), &mut output)? < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        if last {
            break;
        }
    }
    Ok(())
}

/// The lines of the next request. None if the client sends no more; nothing in it if
/// that is no head.
fn read_head(input: &mut impl BufRead) -> io::Result<Option<Option<Vec<String>>>> {
    let (mut lines, mut input) = (Vec::new(), input.take(HEAD));
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 && input.limit() > 0 {
            return Ok(None);
        }
        match line.strip_suffix(b"\r\n") {
            Some([]) => return Ok(Some(Some(lines))),
            Some(line) => match String::from_utf8(line.to_vec()) {
                Ok(line) => lines.push(line),
                Err(_) => return Ok(Some(None)),
            },
            None => return Ok(Some(None)),
        }
    }
}

struct Request {
    method: String,
    target: String,
    /// The connection ends with the answer.
    last: bool,
}

fn parse(head: &[String]) -> Option<Request> {
    let (first, fields) = head.split_first()?;
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return None };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let (mut host, mut last) = (false, false);
    for field in fields {
        let (name, value) = field.split_once(':')?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return None;
        }
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "host" => host = true,
            "connection" => {
                let mut words = value.split(',').map(str::trim);
                last |= words.any(|word| word.eq_ignore_ascii_case("close"));
            }
            // There is a body. It is not read, so nothing behind it can be.
            "content-length" if value.parse::<u64>().ok()? == 0 => {}
            "content-length" | "transfer-encoding" => last = true,
            _ => {}
        }
    }
    host.then(|| Request { method: method.into(), target: target.into(), last })
}

/// Opens a regular file below the folder; also its length.
///
/// It is opened first and looked at then, because a name may lead to another file a
/// moment later: the kernel says where the open file is.
fn open(folder: &Path, name: &[u8]) -> Option<(File, u64)> {
    let name = name.strip_prefix(b"/")?;
    // `join` with a name that begins with a slash would leave the folder.
    let path = folder.join(Path::new(std::ffi::OsStr::from_bytes(name)));
    // O_NONBLOCK: to open a FIFO would wait for its writer.
    let nonblocking = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file =
        File::options().read(true).custom_flags(nonblocking).open(path).ok()?;
    let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let data = file.metadata().ok()?;
    let inside = place.starts_with(folder);
    (inside && data.is_file()).then_some((file, data.len()))
}

/// The bytes that a target stands for: `%20` is a blank. None if it is wrong.
fn decode(target: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut decoded) = (target.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(match byte {
            b'%' => (digit()? * 16 + digit()?) as u8,
            b'+' => b' ',
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
