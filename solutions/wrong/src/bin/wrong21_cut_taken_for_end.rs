//! Believes that the data ends where the connection ends.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest line, with its end, and the largest file.
const LINE: u64 = 512;
const LARGEST: u64 = 1 << 20;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", address, folder] => serve(&listen(address)?, Path::new(folder)),
        [address, "list"] => list(address),
        [address, "get", name] => get(address, name),
        [address, "put", name] => put(address, name),
        _ => bail!("use: exercise21 serve ADDRESS FOLDER | ADDRESS list|get|put"),
    }
}

/// Listens there, and says where.
fn listen(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

fn serve(listener: &TcpListener, folder: &Path) -> Result<()> {
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            // That client has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
            Err(e) => return Err(e.into()),
        };
        let folder = folder.to_owned();
        // An error ends this conversation and no other. Without a thread for it the
        // client is hung up on.
        let talk = move || drop(converse(&client, &folder));
        drop(std::thread::Builder::new().spawn(talk));
    }
}

/// Answers one request after the other.
fn converse(client: &TcpStream, folder: &Path) -> io::Result<()> {
    // One for the whole conversation: it may hold the next request already.
    let mut reader = BufReader::new(client);
    loop {
        let request = match read_line(&mut reader) {
            Ok(None) => return Ok(()),
            Ok(Some(line)) => Request::parse(&line),
            Err(_) => None,
        };
        let answer = match request {
            Some(Request::List) => list_of(folder),
            Some(Request::Get(name)) => content_of(folder, &name),
            Some(Request::Put(length, name)) => {
                let mut data = { &mut reader }.take(length);
                let stored = store(folder, &name, &mut data, length);
                // What belongs to a refused upload is no request.
                io::copy(&mut data, &mut io::sink())?;
                stored.map(|()| Vec::new())
            }
            None => break,
        };
        match answer {
            Ok(data) => {
                let line = format!("ok {}\n", data.len());
                { client }.write_all(&[line.as_bytes(), &data].concat())?;
            }
            Err(e) => refuse(client, &e.to_string())?,
        }
    }
    refuse(client, "no request, or too large")?;
    client.shutdown(Shutdown::Write)?;
    // If it were closed with something unread, the answer might be lost.
    io::copy(&mut reader, &mut io::sink()).map(drop)
}

fn refuse(mut client: &TcpStream, why: &str) -> io::Result<()> {
    client.write_all(format!("error {}\n", why.replace('\n', " ")).as_bytes())
}

enum Request {
    List,
    Get(String),
    Put(u64, String),
}

impl Request {
    fn parse(line: &str) -> Option<Request> {
        if line == "list" {
            return Some(Request::List);
        }
        match line.split_once(' ')? {
            ("get", name) => Some(Request::Get(name.to_owned())),
            ("put", rest) => {
                let (length, name) = rest.split_once(' ')?;
                Some(Request::Put(parse_length(length)?, name.to_owned()))
            }
            _ => None,
        }
    }
}

/// A number that is not too large.
fn parse_length(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&length| digits && length <= LARGEST)
}

/// The next line, without its end; none if the other side has sent its end.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(LINE).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => String::from_utf8(line).map(Some).map_err(io::Error::other),
        Some(_) => Err(io::Error::other("half a line, or too long a one")),
    }
}

fn is_good(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c.is_control())
}

fn list_of(folder: &Path) -> io::Result<Vec<u8>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        // The kind of the entry itself: links are not followed.
        if is_good(&name) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            names.extend_from_slice(format!("{name}\n").as_bytes());
        }
    }
    Ok(names)
}

fn content_of(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    if !is_good(name) {
        return Err(io::Error::other("not a good name"));
    }
    // A link is refused in the moment of the opening: to look first would be a race.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(name))?;
    let data = file.metadata()?;
    if !data.is_file() || data.len() > LARGEST {
        return Err(io::Error::other("no file, or too large"));
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(content)
}

/// Reads a file of this length and shows it under its name when it is whole.
fn store(
    folder: &Path,
    name: &str,
    reader: &mut impl Read,
    length: u64,
) -> io::Result<()> {
    if !is_good(name) {
        return Err(io::Error::other("not a good name"));
    }
    static STORED: AtomicU64 = AtomicU64::new(0);
    // Of its own for each, also if the name is the same.
    let number = STORED.fetch_add(1, Ordering::Relaxed);
    let hidden = folder.join(format!(".part-{}-{number}", std::process::id()));
    let stored = File::create_new(&hidden).and_then(|mut file| {
        io::copy(&mut { reader }.take(length), &mut file)?;
        fs::rename(&hidden, folder.join(name))
    });
    if stored.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    stored
}

/// Sends a request; the answer's length, and where its data comes from.
fn ask(address: &str, request: &[u8]) -> Result<(u64, BufReader<TcpStream>)> {
    let mut server = TcpStream::connect(address)?;
    server.write_all(request)?;
    let mut reader = BufReader::new(server);
    let line = read_line(&mut reader)?.context("the server has hung up")?;
    if let Some(why) = line.strip_prefix("error ") {
        bail!("refused: {}", why.escape_debug());
    }
    let length = line.strip_prefix("ok ").and_then(parse_length);
    Ok((length.context("an answer that is none")?, reader))
}

fn list(address: &str) -> Result<()> {
    let (length, mut reader) = ask(address, b"list\n")?;
    let mut data = vec![0; length as usize];
    reader.read_exact(&mut data)?;
    let names = String::from_utf8(data)?;
    // They are a stranger's, and the terminal obeys control characters.
    let mut lines = names.split_inclusive('\n');
    let good = lines.all(|line| line.strip_suffix('\n').is_some_and(is_good));
    ensure!(good, "a list with a name that is not good");
    print!("{names}");
    Ok(())
}

fn get(address: &str, name: &str) -> Result<()> {
    ensure!(is_good(name), "not a good name");
    let (length, mut reader) = ask(address, format!("get {name}\n").as_bytes())?;
    store(Path::new("."), name, &mut reader, length)?;
    println!("got {length} bytes");
    Ok(())
}

fn put(address: &str, name: &str) -> Result<()> {
    ensure!(is_good(name), "not a good name");
    let content = fs::read(name)?;
    let line = format!("put {} {name}\n", content.len());
    // Sent is not stored. Only the answer says that.
    let (length, _) = ask(address, &[line.as_bytes(), &content].concat())?;
    ensure!(length == 0, "an answer that is none");
    println!("put {} bytes", content.len());
    Ok(())
}
