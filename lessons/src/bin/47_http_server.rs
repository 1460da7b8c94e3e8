//! What does a browser say?
//!
//! A request is a few lines of text, an empty line, and no more: the next one comes
//! over the same connection. So each side must know where a message ends, and a
//! server must believe nothing of what it reads.
//! Predict: two requests are sent at once, before any answer. What comes back?
//! Neighbours: 28_stream, 39_thread_server, 46_file_server.

use anyhow::{Context, Result};
use lessons::serve::{Role, Server, Site, Stop, each_in_a_thread, wrong_use};
use lessons::transfer::{Timed, close, send_file};
use lessons::{beneath, net, observe, prove, step, until};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Limits: of the line with the target (8000 at least, says RFC 9112, section 3), of
/// all lines of a request, of clients at the same time, of the time for a request
/// and for each part of an answer.
const LINE: usize = 8192;
const HEAD: usize = 16384;
const CLIENTS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, args) => {
            let mut args = args.into_iter();
            let folder = args.next().unwrap_or_else(|| ".".to_owned());
            let folder = beneath::folder(Path::new(&folder))
                .unwrap_or_else(|e| wrong_use(format_args!("{folder}: {e}")));
            let patience = match args.next().map(|text| text.parse()) {
                None => PATIENCE,
                Some(Ok(milliseconds @ 1..=600_000)) => {
                    Duration::from_millis(milliseconds)
                }
                _ => wrong_use("serve ADDRESS [FOLDER [MILLISECONDS]]"),
            };
            serve(listener, &Stop::new()?, &Service { folder, patience })
        }
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

struct Service {
    folder: File,
    /// How long a request may take to arrive, from the end of the one before.
    patience: Duration,
}

fn serve(listener: TcpListener, stop: &Stop, service: &Service) -> Result<()> {
    let refuse = |client: &TcpStream| {
        client.set_write_timeout(Some(service.patience))?;
        let (answer, last) = (Answer::new(UNAVAILABLE), true);
        answer.send(client, service, Ending { with_body: true, last })?;
        close(client)
    };
    each_in_a_thread(&listener, stop, CLIENTS, refuse, |client| {
        converse(client, stop, service)
    })
}

/// RFC 9110, section 15; RFC 6585 for 431.
type Status = &'static str;
const OK: Status = "200 OK";
const MOVED_PERMANENTLY: Status = "301 Moved Permanently";
const NOT_MODIFIED: Status = "304 Not Modified";
const BAD_REQUEST: Status = "400 Bad Request";
const NOT_FOUND: Status = "404 Not Found";
const METHOD_NOT_ALLOWED: Status = "405 Method Not Allowed";
const REQUEST_TIMEOUT: Status = "408 Request Timeout";
const URI_TOO_LONG: Status = "414 URI Too Long";
const HEAD_TOO_LARGE: Status = "431 Request Header Fields Too Large";
const NOT_IMPLEMENTED: Status = "501 Not Implemented";
const UNAVAILABLE: Status = "503 Service Unavailable";
const VERSION_NOT_SUPPORTED: Status = "505 HTTP Version Not Supported";

/// Answers one request after the other, until the client has no more.
fn converse(client: &TcpStream, stop: &Stop, service: &Service) -> io::Result<()> {
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(service.patience))?;
    let mut come = Vec::with_capacity(HEAD);
    loop {
        // Between two requests is the place to stop.
        if come.is_empty() && !stop.wait_for(client, service.patience)? {
            return Ok(());
        }
        let head = match next_head(client, &mut come, service.patience)? {
            Some(head) => head,
            None => return Ok(()),
        };
        let with_body = !come.starts_with(b"HEAD ");
        let request = head.and_then(|length| {
            let request = parse(&come[..length]);
            come.drain(..length);
            request
        });
        let (answer, last) = match request {
            Ok(request) => {
                // After the signal: what has come whole, and no more.
                let stops = stop.requested() && empty_line(&come, 0).is_none();
                (respond(service, &request), request.last || stops)
            }
            // Where this request ends and the next begins is not known any more.
            Err(status) => (Answer::new(status), true),
        };
        answer.send(client, service, Ending { with_body, last })?;
        if last {
            return close(client);
        }
    }
}

/// Reads until a whole request has come, up to its empty line; how long it is, or
/// what is wrong with it. Nothing if the client has ended.
fn next_head(
    client: &TcpStream,
    come: &mut Vec<u8>,
    patience: Duration,
) -> io::Result<Option<Result<usize, Status>>> {
    let mut client = Timed::new(client, patience);
    let (mut part, mut searched) = ([0; 4096], 0);
    loop {
        // Empty lines before a request are to be ignored: RFC 9112, section 2.2.
        let empty = come.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        come.drain(..empty);
        let end = empty_line(come, searched);
        if come.len() > LINE && !come[..LINE].contains(&b'\n') {
            return Ok(Some(Err(URI_TOO_LONG)));
        }
        match end {
            Some(end) if end <= HEAD => return Ok(Some(Ok(end))),
            None if come.len() <= HEAD => {}
            _ => return Ok(Some(Err(HEAD_TOO_LARGE))),
        }
        searched = come.len().saturating_sub(2);
        match client.read(&mut part) {
            Ok(0) => return Ok(None),
            Ok(n) => come.extend_from_slice(&part[..n]),
            Err(e) if e.kind() != ErrorKind::TimedOut => return Err(e),
            Err(_) => return Ok(Some(Err(REQUEST_TIMEOUT))),
        }
    }
}

/// Where an empty line ends. Lines may end with LF alone, as nc sends them (the same
/// section).
fn empty_line(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| match bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// What a request asks for, as far as it matters here.
#[derive(Debug)]
struct Request {
    method: String,
    /// Decoded, without the slash at its start. Empty if the method is not served.
    path: Vec<u8>,
    /// If-None-Match: the tags of what the client has already.
    known: Option<String>,
    /// The connection ends with the answer.
    last: bool,
}

/// RFC 9112, sections 2 to 7, of a head.
fn parse(head: &[u8]) -> Result<Request, Status> {
    // A head is bytes: as ISO 8859-1 each of them is a character.
    let text: String = head.iter().map(|&byte| char::from(byte)).collect();
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD_REQUEST);
    };
    let old = match version.strip_prefix("HTTP/").ok_or(BAD_REQUEST)?.as_bytes() {
        b"1.0" => true,
        [b'1', b'.', b'0'..=b'9'] => false,
        [b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(VERSION_NOT_SUPPORTED),
        _ => return Err(BAD_REQUEST),
    };
    let (mut host, mut length, mut known) = (None, None, None);
    // A connection of HTTP/1.0 ends with the answer.
    let mut last = old;
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(BAD_REQUEST)?;
        let value = value.trim_matches([' ', '\t']);
        if !is_token(name)
            || value.contains(|c: char| c != '\t' && c.is_ascii_control())
        {
            return Err(BAD_REQUEST);
        }
        match name.to_ascii_lowercase().as_str() {
            "host" if host.is_none() && is_host(value) => host = Some(value),
            "content-length" if length.is_none_or(|known| known == value) => {
                length = Some(value);
            }
            // Twice, and not the same.
            "host" | "content-length" => return Err(BAD_REQUEST),
            "if-none-match" => known = Some(value.to_owned()),
            "connection" => {
                let mut words = value.split(',').map(str::trim);
                last |= words.any(|word| word.eq_ignore_ascii_case("close"));
            }
            // A body is not read here, so nothing behind it can be.
            "transfer-encoding" => last = true,
            _ => {}
        }
    }
    if host.is_none() && !old {
        return Err(BAD_REQUEST);
    }
    if let Some(length) = length {
        // Not `parse`, which would take a sign.
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BAD_REQUEST);
        }
        last |= length.bytes().any(|byte| byte != b'0');
    }
    let path = match method {
        "GET" | "HEAD" => decode(target)?,
        // What `*` or a host's name would mean to other methods does not matter.
        _ if is_token(method) => Vec::new(),
        _ => return Err(BAD_REQUEST),
    };
    Ok(Request { method: method.to_owned(), path, known, last })
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let may = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(may)
}

/// A host and perhaps a port, RFC 3986, section 3.2, as far as its characters.
fn is_host(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[]:".contains(&b))
}

/// The path in a target, `/a%20b?query` or `http://host/a%20b`.
fn decode(target: &str) -> Result<Vec<u8>, Status> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.split_once('/').map_or("", |(_, path)| path)
        }
        _ => path.strip_prefix('/').ok_or(BAD_REQUEST)?,
    };
    let (mut characters, mut decoded) = (path.chars(), Vec::new());
    while let Some(character) = characters.next() {
        let mut digit = || characters.next()?.to_digit(16);
        decoded.push(match character {
            '%' => match (digit(), digit()) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(BAD_REQUEST),
            },
            // One byte: see `parse`.
            other => other as u8,
        });
    }
    match decoded.iter().any(u8::is_ascii_control) {
        true => Err(BAD_REQUEST),
        false => Ok(decoded),
    }
}

fn respond(service: &Service, request: &Request) -> Answer {
    match request.method.as_str() {
        "GET" | "HEAD" => {}
        "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => {
            let fields = "Allow: GET, HEAD\r\n".to_owned();
            return Answer { fields, ..Answer::new(METHOD_NOT_ALLOWED) };
        }
        _ => return Answer::new(NOT_IMPLEMENTED),
    }
    let found = find(service, &request.path);
    let tag = found.tag.as_deref();
    // Strong or weak makes no difference here: RFC 9110, section 13.1.2.
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let knows = |tag: &str, known: &str| {
        known == "*" || known.split(',').any(|other| plain(other) == plain(tag))
    };
    match (tag, &request.known) {
        (Some(tag), Some(known)) if knows(tag, known) => {
            Answer { status: NOT_MODIFIED, body: Body::None, ..found }
        }
        _ => found,
    }
}

/// The answer to a request for this path.
fn find(service: &Service, path: &[u8]) -> Answer {
    // Hidden files are nobody's business; so `..` need not be thought of, either.
    if path.split(|&byte| byte == b'/').any(|part| part.starts_with(b".")) {
        return Answer::new(NOT_FOUND);
    }
    let name = if path.is_empty() { b"." } else { path };
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let as_folder = path.is_empty() || path.ends_with(b"/");
    let opened = beneath::open(&service.folder, name);
    let found =
        opened.and_then(|file| match (file.metadata()?.is_dir(), as_folder) {
            (false, false) => Answer::file(file, name),
            (true, true) => {
                let index = Path::new("index.html");
                let file_there = beneath::open(&file, index)
                    .and_then(|file| Answer::file(file, index));
                file_there.or_else(|_| list(&file))
            }
            // Else the links of a page would start from the wrong folder.
            (true, false) => {
                let fields = format!("Location: /{}/\r\n", encode(path));
                Ok(Answer { fields, ..Answer::new(MOVED_PERMANENTLY) })
            }
            (false, true) => Err(ErrorKind::NotFound.into()),
        });
    found.unwrap_or_else(|_| Answer::new(NOT_FOUND))
}

/// A page with what a folder contains.
fn list(folder: &File) -> io::Result<Answer> {
    let mut page = "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n".to_owned();
    page += "<title>Files</title>\n<ul>\n";
    for (name, data) in beneath::list(folder)? {
        let slash = if data.is_dir() { "/" } else { "" };
        let text = name.to_string_lossy().replace('&', "&amp;").replace('<', "&lt;");
        let link = encode(name.as_bytes());
        page += &format!("<li><a href=\"./{link}{slash}\">{text}{slash}</a>\n");
    }
    let body = Body::Text(page + "</ul>\n");
    Ok(Answer { media: "text/html; charset=utf-8", body, ..Answer::new(OK) })
}

/// A path as it may stand in a target and in a page.
fn encode(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.iter()
        .map(|&byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

struct Answer {
    status: Status,
    media: &'static str,
    body: Body,
    /// Changes when the file does.
    tag: Option<String>,
    /// Further lines.
    fields: String,
}

enum Body {
    None,
    Text(String),
    File(File, u64),
}

struct Ending {
    with_body: bool,
    last: bool,
}

impl Answer {
    /// One that says nothing but its status.
    fn new(status: Status) -> Answer {
        let body = Body::Text(format!("{status}\n"));
        let media = "text/plain; charset=utf-8";
        Answer { status, media, body, tag: None, fields: String::new() }
    }

    fn file(file: File, name: &Path) -> io::Result<Answer> {
        let data = file.metadata()?;
        if !data.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let (size, seconds, nanoseconds) =
            (data.size(), data.mtime(), data.mtime_nsec());
        // Weak: two changes may have the same time, as far as the clock can tell.
        let tag = Some(format!("W/\"{size:x}-{seconds:x}-{nanoseconds:x}\""));
        let (media, body) = (media(name), Body::File(file, size));
        Ok(Answer { media, body, tag, ..Answer::new(OK) })
    }

    fn send(
        &self,
        mut client: &TcpStream,
        service: &Service,
        ending: Ending,
    ) -> io::Result<()> {
        let length = match &self.body {
            Body::None => None,
            Body::Text(text) => Some(text.len() as u64),
            Body::File(_, size) => Some(*size),
        };
        let mut lines = format!("HTTP/1.1 {}\r\n", self.status);
        lines += &format!("Date: {}\r\n", date(SystemTime::now()));
        if let Some(length) = length {
            lines += &format!("Content-Length: {length}\r\n");
            lines += &format!("Content-Type: {}\r\n", self.media);
        }
        if let Some(tag) = &self.tag {
            lines += &format!("ETag: {tag}\r\n");
        }
        lines += &self.fields;
        if ending.last {
            lines += "Connection: close\r\n";
        }
        client.write_all((lines + "\r\n").as_bytes())?;
        match &self.body {
            Body::Text(text) if ending.with_body => {
                client.write_all(text.as_bytes())
            }
            Body::File(file, size) if ending.with_body => {
                send_file(client, file, *size, service.patience, |_| Ok(()))
            }
            _ => Ok(()),
        }
    }
}

fn media(name: &Path) -> &'static str {
    let end = name.extension().unwrap_or_default().to_string_lossy();
    match end.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "rs" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/vnd.microsoft.icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: RFC 9110, section 5.6.7.
fn date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
        "Dec",
    ];
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let tm = tm(seconds as libc::time_t);
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        DAYS[(seconds / 86400 % 7) as usize],
        tm.tm_mday,
        MONTHS[tm.tm_mon as usize],
        tm.tm_year + 1900,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_sec
    )
}

fn tm(seconds: libc::time_t) -> libc::tm {
    // SAFETY: all zeros are a valid tm (integers, and a null pointer); gmtime_r(3)
    // reads the one and writes the other.
    unsafe {
        let mut tm = std::mem::zeroed();
        libc::gmtime_r(&seconds, &mut tm);
        tm
    }
}

fn scene() -> Result<()> {
    lessons::open("What does a browser say?");
    let site = site()?;
    let server = Server::start(&[site.folder()])?;

    step(
        "A request: a line with method, target and version; fields; an empty line.",
    );
    let mut client = TcpStream::connect(server.address)?;
    let request = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all(request.as_bytes())?;
    let reply = Reply::read(&mut client, true)?;
    observe("the answer begins with", &reply.line);
    observe(
        "Content-Length, and bytes read",
        format!("{} and {}", reply.length, reply.body.len()),
    );
    prove("it says how long it is, and keeps to it", reply.body == b"hello\n")?;

    step("Over the same connection: HEAD, and two more requests sent at once.");
    let head = "HEAD /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.write_all([head, request, request].concat().as_bytes())?;
    let first = Reply::read(&mut client, false)?;
    let others = [Reply::read(&mut client, true)?, Reply::read(&mut client, true)?];
    observe("to HEAD", format!("{}, Content-Length {}", first.line, first.length));
    observe("then", others.each_ref().map(|reply| reply.line.clone()).join(", "));
    prove("HEAD is GET without the body", first.length == reply.length)?;
    let same = others.iter().all(|other| other.body == reply.body);
    prove("one answer after the other, in the order of the requests", same)?;

    step("The request once more, byte by byte.");
    for byte in request.bytes() {
        client.write_all(&[byte])?;
    }
    let slow = Reply::read(&mut client, true)?;
    observe("the answer", &slow.line);
    prove("a read is no request", slow.body == reply.body)?;

    step("What is asked for is not always there, and not always meant well.");
    let tag = reply.field("ETag").unwrap_or_default();
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000));
    let many =
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(20000));
    let known = format!(
        "GET /hello.txt HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\n"
    );
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let (mut as_expected, mut leaked) = (true, false);
    for (what, request, expected) in [
        ("a folder", get("/a%20folder/"), "200"),
        ("a folder without its slash", get("/a%20folder"), "301"),
        ("what the client has already", known, "304"),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), "400"),
        ("no HTTP", "hello\r\n\r\n".into(), "400"),
        (
            "a blank before a colon",
            "GET / HTTP/1.1\r\nHost : h\r\n\r\n".into(),
            "400",
        ),
        ("a file that is not there", get("/none"), "404"),
        ("/../secret", get("/../secret"), "404"),
        ("the same, encoded", get("/%2e%2e%2fsecret"), "404"),
        ("a link that leads out", get("/link"), "404"),
        ("a hidden file", get("/.hidden"), "404"),
        ("DELETE", "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n".into(), "405"),
        ("a target of 9000 bytes", long, "414"),
        ("a field of 20,000 bytes", many, "431"),
        ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n".into(), "505"),
    ] {
        let reply = ask(&server, &request)?;
        as_expected &= reply.line.split(' ').nth(1) == Some(expected);
        leaked |= reply.body == Site::SECRET;
        observe(what, reply.line);
    }
    prove("each gets the status that the RFC has for it", as_expected)?;
    prove("and no name leads out of the folder", !leaked)?;

    step("Half a request, and then nothing, to a server that waits 0.2 s for it.");
    let impatient = Server::start(&[site.folder(), "200"])?;
    // The clock begins to run when the half is there.
    impatient.pause()?;
    let mut halting = TcpStream::connect(impatient.address)?;
    halting.write_all(b"GET / HTTP/1.1\r\nHost")?;
    let own = halting.local_addr()?;
    until("it is there", || Ok(net::unread(impatient.address, own)? > 0))?;
    impatient.signal(Signal::SIGCONT)?;
    let late = Reply::read(halting, true)?;
    observe("the answer", &late.line);
    prove("a client cannot keep a thread for ever", late.line.contains(" 408 "))?;
    drop(impatient);

    step("Ctrl-C while a file of 8 MiB is under way.");
    client.write_all(get("/large").as_bytes())?;
    until("the server is about to wait for room", || {
        Ok(net::unread(client.local_addr()?, server.address)? > 0)
    })?;
    server.signal(Signal::SIGINT)?;
    let large = Reply::read(&mut client, true)?;
    let mut rest = Vec::new();
    client.read_to_end(&mut rest)?;
    let status = server.wait()?;
    observe("bytes read after it", large.body.len());
    observe("the server ends with", status);
    let whole = large.body.len() == LARGE && rest.is_empty();
    prove("what was asked for is answered", whole && status.success())
}

const LARGE: usize = 8 << 20;

fn site() -> Result<Site> {
    let site = Site::new()?;
    fs::create_dir(site.file("a folder"))?;
    fs::write(site.file("hello.txt"), "hello\n")?;
    File::create(site.file("large"))?.set_len(LARGE as u64)?;
    Ok(site)
}

/// An answer, as a client sees it.
struct Reply {
    line: String,
    fields: String,
    length: usize,
    body: Vec<u8>,
}

impl Reply {
    /// Reads one answer and not a byte more; what follows belongs to the next.
    fn read(mut stream: impl Read, with_body: bool) -> Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)?;
        let (line, fields) = head.split_once("\r\n").context("no first line")?;
        let (line, fields) = (line.to_owned(), fields.to_owned());
        let mut reply = Reply { line, fields, length: 0, body: Vec::new() };
        reply.length = reply.field("Content-Length").unwrap_or("0").parse()?;
        if with_body && !reply.line.contains(" 304 ") {
            reply.body = vec![0; reply.length];
            stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.fields.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request over a connection of its own and reads the answer.
fn ask(server: &Server, request: &str) -> Result<Reply> {
    let mut client = TcpStream::connect(server.address)?;
    client.write_all(request.as_bytes())?;
    Reply::read(client, true)
}
