//! How do files cross a stream?
//!
//! A stream has no messages and no end but one. So whoever sends a file says first
//! how long it is, and whoever stores one shows it to nobody before it is whole.
//! Predict: an upload breaks off, after any number of bytes. What is in the folder?
//! Neighbours: 28_stream, 39_thread_server, 47_http_server.

use anyhow::{Context, Result, anyhow, bail};
use lessons::serve::{Role, Server, Site, Stop, each_in_a_thread, wrong_use};
use lessons::transfer::{Timed, close, receive_file, send_file};
use lessons::{beneath, observe, proc, prove, step, until};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Limits: of clients at the same time, of an upload, of the time between two
/// requests, for a request, and between two parts of a file.
const CLIENTS: usize = 64;
const LARGEST: u64 = 1 << 40;
const IDLE: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(30);

// The protocol (see the note). All numbers are big-endian.
//   request: kind, 1 byte; size, 8 bytes; length of the name, 2 bytes; name
//   answer:  status, 1 byte; size, 8 bytes; so many bytes: list, file or complaint
const LIST: u8 = b'L';
const GET: u8 = b'G';
const PUT: u8 = b'P';
const QUIT: u8 = b'Q';
const FINE: u8 = 0;
const REFUSED: u8 = 1;

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, args) => {
            let folder = args.first().map_or(".", String::as_str);
            let folder = beneath::folder(Path::new(folder))
                .unwrap_or_else(|e| wrong_use(format_args!("{folder}: {e}")));
            serve(listener, &Stop::new()?, &folder)
        }
        Role::Client(server, args) => client(server, &args),
    }
}

fn serve(listener: TcpListener, stop: &Stop, folder: &File) -> Result<()> {
    let full = |client: &TcpStream| {
        refuse(client, "too many clients, come again")?;
        close(client)
    };
    each_in_a_thread(&listener, stop, CLIENTS, full, |client| {
        client.set_nodelay(true)?;
        client.set_write_timeout(Some(PATIENCE))?;
        // Between two requests is the place to stop.
        while stop.wait_for(client, IDLE)? {
            let request = Request::read(Timed::new(client, PATIENCE))?;
            match request.kind {
                LIST => list(client, folder)?,
                GET => get(client, folder, &request.name)?,
                PUT => put(client, folder, &request.name, request.size)?,
                QUIT => return Ok(()),
                // Nobody knows where it ends.
                _ => {
                    refuse(client, "no such request")?;
                    return close(client);
                }
            }
            if stop.requested() {
                return close(client);
            }
        }
        Ok(())
    })
}

struct Request {
    kind: u8,
    size: u64,
    name: Vec<u8>,
}

impl Request {
    fn read(mut stream: impl Read) -> io::Result<Request> {
        let mut head = [0; 11];
        stream.read_exact(&mut head)?;
        let (size, length) = (number(&head[1..9]), number(&head[9..]));
        // At most 65,535 bytes, as its length has two.
        let mut name = vec![0; length as usize];
        stream.read_exact(&mut name)?;
        Ok(Request { kind: head[0], size, name })
    }

    fn write(&self, mut stream: impl Write) -> io::Result<()> {
        let length = u16::try_from(self.name.len()).map_err(io::Error::other)?;
        let (size, length) = (self.size.to_be_bytes(), length.to_be_bytes());
        stream.write_all(&[&[self.kind], &size[..], &length, &self.name].concat())
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn answer(mut stream: impl Write, status: u8, size: u64) -> io::Result<()> {
    stream.write_all(&[&[status], &size.to_be_bytes()[..]].concat())
}

fn refuse(mut stream: impl Write, why: &str) -> io::Result<()> {
    answer(&mut stream, REFUSED, why.len() as u64)?;
    stream.write_all(why.as_bytes())
}

/// The name of a file here, or why it cannot be one.
fn checked(name: &[u8]) -> Result<&Path, &'static str> {
    let name = str::from_utf8(name).map_err(|_| "a name that is not UTF-8")?;
    match name {
        "" => Err("an empty name"),
        _ if name.starts_with('.') => Err("a hidden file"),
        _ if name.len() > 255 => Err("a name of more than 255 bytes"),
        _ if name.contains('/') => Err("a name with a slash"),
        _ if name.contains(char::is_control) => Err("a control character"),
        _ => Ok(Path::new(name)),
    }
}

/// The size and the name of each file that can be got, on a line.
fn list(mut client: &TcpStream, folder: &File) -> io::Result<()> {
    let mut text = String::new();
    for (name, data) in beneath::list(folder)? {
        let name = name.to_string_lossy();
        if data.is_file() && checked(name.as_bytes()).is_ok() {
            text += &format!("{} {name}\n", data.len());
        }
    }
    answer(client, FINE, text.len() as u64)?;
    client.write_all(text.as_bytes())
}

fn get(client: &TcpStream, folder: &File, name: &[u8]) -> io::Result<()> {
    let opened = match checked(name) {
        Ok(name) => beneath::open(folder, name),
        Err(why) => return refuse(client, why),
    };
    let file = match opened {
        Ok(file) if file.metadata()?.is_file() => file,
        Err(e) if matches!(e.raw_os_error(), Some(libc::EXDEV | libc::ELOOP)) => {
            return refuse(client, "it leads out of the folder");
        }
        _ => return refuse(client, "no such file"),
    };
    let size = file.metadata()?.len();
    answer(client, FINE, size)?;
    send_file(client, &file, size, PATIENCE, |_| Ok(()))
}

/// Stores an upload under a name that nobody sees, and gives it its own when it is
/// whole: rename(2) does that in one step, also if there is an older one.
fn put(client: &TcpStream, folder: &File, name: &[u8], size: u64) -> io::Result<()> {
    let name = match checked(name) {
        Ok(_) if size > LARGEST => return refuse(client, "too large"),
        Ok(name) => name,
        Err(why) => return refuse(client, why),
    };
    let upload = match Upload::begin(folder) {
        Ok(upload) => upload,
        Err(e) => return refuse(client, &e.to_string()),
    };
    // Go ahead.
    answer(client, FINE, 0)?;
    let received = receive_file(client, &upload.file, size, PATIENCE, |_| Ok(()));
    if let Err(e) = received {
        // The disk is full, for instance. What still comes is no request.
        drop(upload);
        refuse(client, &e.to_string())?;
        close(client)?;
        return Err(e);
    }
    match upload.finish(name) {
        Ok(()) => answer(client, FINE, 0),
        Err(e) => refuse(client, &e.to_string()),
    }
}

/// A file that is not whole yet. If it is dropped it is gone.
struct Upload<'a> {
    folder: &'a File,
    file: File,
    hidden: String,
}

impl Upload<'_> {
    fn begin(folder: &File) -> io::Result<Upload<'_>> {
        static UPLOADS: AtomicU64 = AtomicU64::new(0);
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o666);
        loop {
            let number = UPLOADS.fetch_add(1, Ordering::Relaxed);
            let hidden = format!(".upload-{}-{number}", std::process::id());
            match openat(folder, hidden.as_str(), flags, mode) {
                // Left by a server that was killed, when that number was its own.
                Err(Errno::EEXIST) => {}
                file => return Ok(Upload { folder, file: file?.into(), hidden }),
            }
        }
    }

    fn finish(self, name: &Path) -> io::Result<()> {
        // What is not on the disk yet may be lost with the power: fsync(2), first of
        // the content, then of the name.
        self.file.sync_all()?;
        renameat(self.folder, self.hidden.as_str(), self.folder, name)?;
        self.folder.sync_all()
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        // After the rename there is none of that name.
        let _ =
            unlinkat(self.folder, self.hidden.as_str(), UnlinkatFlags::NoRemoveDir);
    }
}

/// The client: with a command as arguments for scripts, else with a menu.
fn client(server: SocketAddr, args: &[String]) -> Result<()> {
    let stream = TcpStream::connect(server)
        .unwrap_or_else(|e| wrong_use(format_args!("no server at {server}: {e}")));
    let stop = Stop::new()?;
    stop.shuts(&stream);
    let connection = Connection { stream, stop };
    let done = match args {
        [] => connection.menu(),
        args => connection.obey(&args.join(" ")),
    };
    if let Err(e) = done {
        let why = match e.downcast_ref::<io::Error>().map(io::Error::kind) {
            // Not behind ^C on the same line.
            _ if connection.stop.requested() => "\ninterrupted".to_owned(),
            Some(ErrorKind::UnexpectedEof) => "the server has hung up".to_owned(),
            _ => format!("{e:#}"),
        };
        eprintln!("{why}");
        std::process::exit(1);
    }
    Ok(())
}

struct Connection {
    stream: TcpStream,
    stop: Stop,
}

impl Connection {
    fn menu(&self) -> Result<()> {
        const MENU: &str = "list | get NAME | put FILE | quit";
        let terminal = io::stdin().is_terminal();
        let mut input =
            BufReader::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
        let mut line = MENU.to_owned();
        loop {
            match line.trim() {
                "quit" => break,
                "" | MENU => writeln!(io::stdout(), "{MENU}")?,
                command => match self.obey(command) {
                    // What the server refuses is no reason to leave it.
                    Err(e) if !e.is::<io::Error>() => {
                        writeln!(io::stdout(), "{e:#}")?;
                    }
                    done => done?,
                },
            }
            if terminal {
                write!(io::stdout(), "> ")?;
                io::stdout().flush()?;
            }
            line.clear();
            let typed = !input.buffer().is_empty()
                || self.stop.wait_for(io::stdin(), IDLE)?;
            if !typed || input.read_line(&mut line)? == 0 {
                // Ctrl-C or Ctrl-D, and the prompt still stands there.
                if terminal {
                    writeln!(io::stdout())?;
                }
                break;
            }
        }
        Ok(Request { kind: QUIT, size: 0, name: Vec::new() }.write(&self.stream)?)
    }

    /// An io::Error means that the conversation is over.
    fn obey(&self, command: &str) -> Result<()> {
        let stream = &self.stream;
        match command.split_once(' ').unwrap_or((command, "")) {
            ("list", "") => {
                let size = ask(stream, LIST, 0, "")?;
                for line in read_text(stream, size)?.lines() {
                    writeln!(io::stdout(), "{line}")?;
                }
                Ok(())
            }
            ("get", name) => {
                let path = checked(name.as_bytes())
                    .map_err(|why| anyhow!("refused: {why}"))?;
                // A broken download must not look like a file either.
                let here = beneath::folder(Path::new("."))?;
                let download = Upload::begin(&here)
                    .map_err(|e| anyhow!("cannot write here: {e}"))?;
                let size = ask(stream, GET, 0, name)?;
                let progress = self.progress(name, size);
                receive_file(stream, &download.file, size, PATIENCE, progress)?;
                download.finish(path).map_err(|e| anyhow!("{name}: {e}"))
            }
            ("put", file) => {
                let (source, size) =
                    regular(file).map_err(|e| anyhow!("{file}: {e}"))?;
                let name = Path::new(file).file_name().and_then(|n| n.to_str());
                let name = name.context("a file without a name")?;
                ask(stream, PUT, size, name)?;
                let progress = self.progress(name, size);
                let sent = send_file(stream, &source, size, PATIENCE, progress);
                // If the server breaks off it says why, before it hangs up.
                read_answer(stream)?;
                Ok(sent?)
            }
            _ => bail!("there is: list, get NAME, put FILE, quit"),
        }
    }

    /// Shows those who wait at a terminal how far a long transfer has come. Ctrl-C
    /// ends it.
    fn progress(&self, name: &str, size: u64) -> impl FnMut(u64) -> io::Result<()> {
        const LONG: u64 = 16 << 20;
        let watched = size >= LONG && io::stderr().is_terminal();
        let mut shown = 0;
        move |done| {
            let percent = if watched { done * 100 / size } else { 0 };
            if percent > shown {
                let end = if percent == 100 { "\n" } else { "" };
                eprint!("\r{name}: {percent} %{end}");
                shown = percent;
            }
            match self.stop.requested() {
                true => Err(ErrorKind::Interrupted.into()),
                false => Ok(()),
            }
        }
    }
}

fn regular(file: &str) -> io::Result<(File, u64)> {
    let data = fs::metadata(file)?;
    match data.is_file() {
        true => Ok((File::open(file)?, data.len())),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Sends a request; how many bytes the answer has.
fn ask(stream: &TcpStream, kind: u8, size: u64, name: &str) -> Result<u64> {
    Request { kind, size, name: name.as_bytes().to_vec() }.write(stream)?;
    read_answer(stream)
}

fn read_answer(stream: &TcpStream) -> Result<u64> {
    let mut head = [0; 9];
    // To write a large file to the disk takes a while.
    Timed::new(stream, IDLE).read_exact(&mut head)?;
    let size = number(&head[1..]);
    match head[0] {
        FINE => Ok(size),
        _ => bail!("refused: {}", read_text(stream, size)?),
    }
}

/// Text that may end up on a terminal. It is the stranger's: what might play tricks
/// there becomes a question mark.
fn read_text(stream: &TcpStream, size: u64) -> io::Result<String> {
    if size > 1 << 24 {
        return Err(io::Error::other("the server sends too long a text"));
    }
    let mut text = vec![0; size as usize];
    Timed::new(stream, PATIENCE).read_exact(&mut text)?;
    let tricky = |c: char| c.is_control() && c != '\n';
    Ok(String::from_utf8_lossy(&text).replace(tricky, "?"))
}

fn scene() -> Result<()> {
    lessons::open("How do files cross a stream?");
    let site = Site::new()?;
    let server = Server::start(&[site.folder()])?;
    let stream = TcpStream::connect(server.address)?;

    step("put, list and get. The file holds what others would take for its end.");
    let content = b"one\n\0two\r\n.\r\nQQQQ\xff\x04three";
    put_bytes(&stream, "notes", content)?;
    let names = list_names(&stream)?;
    let back = get_bytes(&stream, "notes")?;
    observe("list", names.join(", "));
    let sizes = format!("{} bytes, {}", content.len(), back.len());
    observe("sent, and got back", sizes);
    prove("its length is said before, so it may hold anything", back == content)?;

    step("Names that strangers might send.");
    let mut refused = Vec::new();
    let names =
        ["../secret", "/etc/passwd", "link", ".hidden", "a/b", "a\nb", "", "none"];
    for name in names {
        let why = match ask(&stream, GET, 0, name) {
            Ok(size) => format!("{size} bytes"),
            Err(e) => e.to_string(),
        };
        observe(&format!("get {}", name.escape_debug()), &why);
        refused.push(why.starts_with("refused"));
    }
    let put = ask(&stream, PUT, 5, "../new").is_err();
    prove("none of them leads out of the folder", refused == [true; 8] && put)?;
    prove("and the conversation goes on", get_bytes(&stream, "notes")? == content)?;

    step("An upload breaks off, after each number of bytes.");
    let mut whole = Vec::new();
    Request { kind: PUT, size: 20, name: b"broken".to_vec() }.write(&mut whole)?;
    whole.extend([b'x'; 20]);
    for cut in 0..whole.len() {
        let mut broken = TcpStream::connect(server.address)?;
        broken.write_all(&whole[..cut])?;
        broken.shutdown(Shutdown::Write)?;
        // When the server has closed its end, it is done with it.
        broken.read_to_end(&mut Vec::new())?;
    }
    let left = all_names(&site)?;
    observe("it was cut", format!("{} times", whole.len()));
    observe("in the folder, hidden or not", left.join(", "));
    prove("the folder is as it was", left == [".hidden", "link", "notes"])?;

    step("Ten uploads at once, each of them half done.");
    let mut uploads = Vec::new();
    for number in 0..10 {
        let stream = TcpStream::connect(server.address)?;
        ask(&stream, PUT, 2000, &format!("file{number}"))?;
        { &stream }.write_all(&[b'0' + number; 1000])?;
        uploads.push(stream);
    }
    let visible = list_names(&stream)?;
    // One for each client, and the one that accepts.
    until("those of broken uploads have ended", || {
        Ok(proc::threads(server.pid())? <= 12)
    })?;
    let threads = proc::threads(server.pid())?;
    for (number, stream) in (0..).zip(&uploads) {
        { stream }.write_all(&[b'0' + number; 1000])?;
        read_answer(stream)?;
    }
    let all = list_names(&stream)?;
    let third = get_bytes(&stream, "file3")?;
    observe("threads of the server", threads);
    let listed = format!("{} and {}", visible.len(), all.len());
    observe("listed before and after", listed);
    prove("all ten are served at the same time", threads == 12)?;
    prove("what is not whole is not there", visible == ["notes"])?;
    prove("what is whole is", all.len() == 11 && third == [b'3'; 2000])?;

    step("A file of 64 MiB is fetched.");
    File::create(site.file("large"))?.set_len(64 << 20)?;
    let before = proc::peak(server.pid())?.0;
    let size = ask(&stream, GET, 0, "large")?;
    let got = io::copy(&mut { &stream }.take(size), &mut io::sink())?;
    let grown = proc::peak(server.pid())?.0.saturating_sub(before);
    observe("bytes that came", got);
    observe("the server's peak grew by", format!("{} KiB", grown >> 10));
    prove("it is never held in memory", got == 64 << 20 && grown < 8 << 20)?;

    step("Ctrl-C in the middle of an upload.");
    let late = TcpStream::connect(server.address)?;
    ask(&late, PUT, 10, "late")?;
    { &late }.write_all(b"ten b")?;
    server.signal(Signal::SIGINT)?;
    { &late }.write_all(b"ytes!")?;
    read_answer(&late)?;
    drop(late);
    let status = server.wait()?;
    let stored = fs::read(site.file("late"))?;
    observe("the server ends with", status);
    observe("stored", String::from_utf8_lossy(&stored));
    prove("what was accepted is done", status.success() && stored == b"ten bytes!")
}

fn put_bytes(stream: &TcpStream, name: &str, content: &[u8]) -> Result<()> {
    ask(stream, PUT, content.len() as u64, name)?;
    { stream }.write_all(content)?;
    read_answer(stream).map(drop)
}

fn get_bytes(stream: &TcpStream, name: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![0; ask(stream, GET, 0, name)? as usize];
    { stream }.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn list_names(stream: &TcpStream) -> Result<Vec<String>> {
    let size = ask(stream, LIST, 0, "")?;
    let name = |line: &str| line.split_once(' ').map(|(_, name)| name.to_owned());
    Ok(read_text(stream, size)?.lines().filter_map(name).collect())
}

/// All names in the folder, the hidden ones too.
fn all_names(site: &Site) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(site.folder())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
