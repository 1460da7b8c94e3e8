//! The servers of the lessons, used for real: as `-- serve` starts them, over sockets, by the
//! lessons' own client, by curl and by a browser.

use anyhow::{Context, Result, ensure};
use lessons::serve::{Server, Site};
use lessons::{net, proc, until};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use xtask::build::{Built, Profile, cargo_build};
use xtask::workbook::Workbook;

// All of them.

#[test]
fn every_echo_server_echoes_and_ends_gracefully() -> Result<()> {
    let number = |name: &str| name.split('_').next().unwrap_or_default().parse();
    let echoes_all = |name: &str| {
        number(name).is_ok_and(|number: u32| (36..=45).contains(&number))
    };
    std::thread::scope(|scope| {
        let tested = servers().iter().filter(|(name, _)| echoes_all(name)).map(
            |(name, program)| {
                scope.spawn(move || {
                    // One is a chat room, unless it is asked for an echo.
                    let args: &[&str] = match name.ends_with("_select_server") {
                        true => &["echo"],
                        false => &[],
                    };
                    echoes(program, args)
                        .and_then(|()| ends_gracefully(program, args))
                        .with_context(|| name.clone())
                })
            },
        );
        let tested: Vec<_> = tested.collect();
        ensure!(!tested.is_empty(), "no server was found");
        tested.into_iter().try_for_each(|t| t.join().expect("it does not panic"))
    })
}

fn echoes(program: &Path, args: &[&str]) -> Result<()> {
    let server = start(program, args)?;
    let mut client = connect(&server)?;
    // More than all buffers on the way hold.
    let sent = (0..251).collect::<Vec<u8>>().repeat(50_000);
    let mut to_server = client.try_clone()?;
    let mut echoed = Vec::new();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            to_server.write_all(&sent)?;
            to_server.shutdown(Shutdown::Write)
        });
        client.read_to_end(&mut echoed)?;
        sender.join().expect("it does not panic")
    })?;
    ensure!(echoed == sent, "{} bytes came back, not those sent", echoed.len());
    // A client that breaks off is the end of that client only.
    let broken = connect(&server)?;
    (&broken).write_all(b"x")?;
    reset(broken)?;
    let mut next = connect(&server)?;
    next.write_all(b"hello")?;
    next.read_exact(&mut [0; 5])?;
    Ok(())
}

fn ends_gracefully(program: &Path, args: &[&str]) -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = start(program, args)?;
        let mut client = connect(&server)?;
        client.write_all(b"one")?;
        client.read_exact(&mut [0; 3])?;
        // It says nothing, and leaves nothing undone.
        let _idle = connect(&server)?;
        client.write_all(b"bye")?;
        let own = client.local_addr()?;
        until("the server's machine has it", || {
            let end = net::connection(own, server.address)?;
            Ok(end.is_some_and(|end| end.unacknowledged == 0))
        })?;
        server.signal(signal)?;
        let mut rest = String::new();
        client.read_to_string(&mut rest)?;
        ensure!(rest == "bye", "{signal}: instead of “bye” came “{rest}”");
        let status = end_of(&mut server)?;
        ensure!(status == "exit status: 0", "{signal}: it ends with {status}");
        let after = TcpStream::connect(server.address);
        ensure!(after.is_err(), "{signal}: somebody listens there still");
    }
    Ok(())
}

#[test]
fn every_server_refuses_an_address_at_which_it_cannot_listen() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    for (name, program) in servers() {
        let refuses = |args: &[&str]| {
            refuses(Command::new(program).args(args))
                .with_context(|| format!("{name} {}", args.join(" ")))
        };
        refuses(&["serve", "nonsense"])?;
        refuses(&["serve", "127.0.0.1:99999"])?;
        refuses(&["serve", "localhost"])?;
        refuses(&["serve", &taken])?;
        refuses(&["client"])?;
        refuses(&["client", "nonsense"])?;
        refuses(&["nonsense"])?;
    }
    Ok(())
}

#[test]
fn every_server_refuses_a_privileged_port_to_an_ordinary_user() -> Result<()> {
    let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    if fs::read_to_string(file)?.trim().parse::<u32>()? < 2 {
        return not_tested("privileged ports", "this machine has none");
    }
    for (name, program) in servers() {
        let mut command = Command::new(program);
        command.args(["serve", "127.0.0.1:1"]);
        // SAFETY: one system call between fork and exec.
        unsafe {
            // What makes root more than an ordinary user here (capabilities(7)). Others have it not
            // and cannot give it away.
            const CAP_NET_BIND_SERVICE: libc::c_ulong = 10;
            command.pre_exec(|| {
                libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_BIND_SERVICE, 0, 0, 0);
                Ok(())
            });
        }
        refuses(&mut command).with_context(|| name.clone())?;
    }
    Ok(())
}

// 46_file_server.

#[test]
fn the_file_server_keeps_its_folder() -> Result<()> {
    let site = Site::new()?;
    let server = start(lesson("_file_server")?, &[site.folder()])?;
    let mut files = Files::connect(&server)?;
    let all: Vec<u8> = (0..70_000_u32).map(|i| i as u8).collect();
    fs::create_dir(site.file("folder"))?;
    std::os::unix::fs::symlink("all", site.file("inside"))?;
    for content in [b"".as_slice(), b"x", &all] {
        ensure!(files.put("all", content)? == Ok(()));
        ensure!(files.get("all")? == Ok(content.to_vec()));
    }
    ensure!(files.list()? == "70000 all\n70000 inside\n", "{}", files.list()?);
    ensure!(files.get("inside")? == Ok(all.clone()));

    let long = "a".repeat(256);
    let longest = "a".repeat(65_535);
    let names = [
        "../secret",
        "..",
        ".",
        "",
        "/etc/passwd",
        "folder/..",
        "./all",
        "link",
        ".hidden",
        "none",
        "folder",
        "a\0b",
        "all\0",
        "a\nb",
        "a\x1b[2Jb",
        "a\u{9b}2Jb",
        "a\x7f",
        &long,
        &longest,
    ];
    for name in names {
        let got = files.get(name)?;
        ensure!(got.is_err(), "get {name:?} gave {got:?}");
    }
    ensure!(files.get_bytes(b"all\xff")?.is_err());
    for name in
        names.iter().filter(|name| !["link", "none", "folder"].contains(name))
    {
        ensure!(files.put(name, b"x")?.is_err(), "put {name:?} was accepted");
    }
    // That is known only when all has come; the conversation goes on.
    ensure!(files.put("folder", b"x")?.is_err());
    for size in [u64::MAX, 1 << 63, (1 << 40) + 1] {
        ensure!(files.ask(b'P', size, b"giant")?.is_err());
    }
    // The link itself is replaced, and not what it leads to.
    ensure!(files.put("link", b"new")? == Ok(()));
    ensure!(fs::read(site.file("../secret"))? == Site::SECRET);
    ensure!(names_in(&site)? == [".hidden", "all", "folder", "inside", "link"]);

    // A request in pieces of one byte.
    let mut slow = Files::connect(&server)?;
    for byte in request(b'G', 0, b"all") {
        slow.0.write_all(&[byte])?;
    }
    ensure!(slow.answer()? == Ok(all));
    // What is no request is the end.
    slow.0.write_all(&request(b'X', 0, b""))?;
    ensure!(slow.answer()?.is_err());
    ensure!(slow.0.read(&mut [0])? == 0);
    Ok(())
}

#[test]
fn an_upload_that_is_cut_leaves_the_folder_as_it_was() -> Result<()> {
    let site = Site::new()?;
    fs::write(site.file("notes"), "old")?;
    let server = start(lesson("_file_server")?, &[site.folder()])?;
    let mut whole = request(b'P', 20, b"notes");
    whole.extend([b'x'; 20]);
    for cut in 0..whole.len() {
        for ending in [leave, reset, half_close] {
            let mut client = connect(&server)?;
            client.write_all(&whole[..cut])?;
            ending(client)?;
        }
        ensure!(fs::read(site.file("notes"))? == b"old", "cut at {cut}");
    }
    until("the threads of broken uploads have ended", || {
        Ok(proc::threads(server.pid())? == 1)
    })?;
    ensure!(
        names_in(&site)? == [".hidden", "link", "notes"],
        "{:?}",
        names_in(&site)?
    );
    ensure!(fs::read(site.file("notes"))? == b"old");
    let mut client = Files::connect(&server)?;
    ensure!(client.put("notes", b"new")? == Ok(()));
    ensure!(fs::read(site.file("notes"))? == b"new");
    Ok(())
}

#[test]
fn the_file_server_serves_ten_at_once_and_refuses_too_many_politely() -> Result<()> {
    let site = Site::new()?;
    let mut server = start(lesson("_file_server")?, &[site.folder()])?;
    let mut ten = Vec::new();
    for number in 0..10_u8 {
        let mut files = Files::connect(&server)?;
        ensure!(files.ask(b'P', 2, format!("file{number}").as_bytes())? == Ok(0));
        files.0.write_all(&[number])?;
        ten.push(files);
    }
    // These say nothing.
    let idle = (0..54).map(|_| connect(&server)).collect::<Result<Vec<_>>>()?;
    let mut refused = Files::connect(&server)?;
    let answer = refused.list_or_why()?;
    ensure!(answer.is_err_and(|why| why.contains("too many")));
    ensure!(refused.0.read(&mut [0])? == 0);
    drop((idle, refused));
    // Ctrl-C: what has begun is done.
    server.signal(Signal::SIGINT)?;
    for (number, files) in (0..).zip(&mut ten) {
        files.0.write_all(&[number])?;
        ensure!(files.answer()? == Ok(Vec::new()));
    }
    drop(ten);
    ensure!(end_of(&mut server)? == "exit status: 0");
    for number in 0..10_u8 {
        ensure!(fs::read(site.file(&format!("file{number}")))? == [number; 2]);
    }
    Ok(())
}

#[test]
fn the_client_of_the_file_server_serves_scripts_and_people() -> Result<()> {
    let (site, here) = (Site::new()?, Site::new()?);
    let program = lesson("_file_server")?;
    let server = start(program, &[site.folder()])?;
    let client =
        |args: &[&str], typed: &str| -> Result<(Option<i32>, String, String)> {
            let mut command = Command::new(program);
            command.args(["client", &server.address.to_string()]).args(args);
            let output = run(command.current_dir(here.folder()), typed)?;
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
        };
    let good = |stdout: &str| (Some(0), stdout.to_owned(), String::new());
    fs::write(here.file("a b"), "content")?;
    ensure!(client(&["put", "a b"], "")? == good(""));
    ensure!(client(&["list"], "")? == good("7 a b\n"));
    fs::remove_file(here.file("a b"))?;
    ensure!(client(&["get", "a b"], "")? == good(""));
    ensure!(fs::read(here.file("a b"))? == b"content");
    for args in [
        &["get", "none"][..],
        &["get", "link"],
        &["put", "/"],
        &["put", "none"],
        &["x"],
    ] {
        let (status, stdout, stderr) = client(args, "")?;
        ensure!(
            (status, stdout.as_str()) == (Some(1), ""),
            "{args:?}: {status:?} {stdout}"
        );
        ensure!(stderr.lines().count() == 1, "{args:?}: {stderr}");
    }
    let (status, stdout, stderr) =
        client(&[], "list\nget none\nget a b\n\nx\nquit\nlist\n")?;
    ensure!((status, stderr.as_str()) == (Some(0), ""), "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    let menu = "list | get NAME | put FILE | quit";
    let expected = [
        menu,
        "7 a b",
        "refused: no such file",
        menu,
        "there is: list, get NAME, put FILE, quit",
    ];
    ensure!(lines == expected, "{lines:?}");
    ensure!(
        names_in(&here)? == [".hidden", "a b", "link"],
        "{:?}",
        names_in(&here)?
    );
    drop(server);
    Ok(())
}

/// A client of 46_file_server, written down once more, from its note.
struct Files(TcpStream);

fn request(kind: u8, size: u64, name: &[u8]) -> Vec<u8> {
    let length = (name.len() as u16).to_be_bytes();
    [&[kind], &size.to_be_bytes()[..], &length, name].concat()
}

/// What comes back, or why not.
type Answer = Result<Vec<u8>, String>;

impl Files {
    fn connect(server: &Server) -> Result<Files> {
        Ok(Files(connect(server)?))
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let size = u64::from_be_bytes(head[1..].try_into()?);
        let mut content = vec![0; size as usize];
        self.0.read_exact(&mut content)?;
        Ok(match head[0] {
            0 => Ok(content),
            _ => Err(String::from_utf8(content)?),
        })
    }

    /// How many bytes have come.
    fn ask(
        &mut self,
        kind: u8,
        size: u64,
        name: &[u8],
    ) -> Result<Result<usize, String>> {
        self.0.write_all(&request(kind, size, name))?;
        Ok(self.answer()?.map(|content| content.len()))
    }

    fn put(&mut self, name: &str, content: &[u8]) -> Result<Result<(), String>> {
        if let Err(why) = self.ask(b'P', content.len() as u64, name.as_bytes())? {
            return Ok(Err(why));
        }
        self.0.write_all(content)?;
        Ok(self.answer()?.map(drop))
    }

    fn get(&mut self, name: &str) -> Result<Answer> {
        self.get_bytes(name.as_bytes())
    }

    fn get_bytes(&mut self, name: &[u8]) -> Result<Answer> {
        self.0.write_all(&request(b'G', 0, name))?;
        self.answer()
    }

    fn list_or_why(&mut self) -> Result<Answer> {
        self.0.write_all(&request(b'L', 0, b""))?;
        self.answer()
    }

    fn list(&mut self) -> Result<String> {
        let list = self.list_or_why()?.map_err(anyhow::Error::msg)?;
        Ok(String::from_utf8(list)?)
    }
}

// 47_http_server.

#[test]
fn the_http_server_gives_each_request_its_status() -> Result<()> {
    let site = pages()?;
    let server = start(lesson("_http_server")?, &[site.folder()])?;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let with =
        |fields: &str| format!("GET /a.txt HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let line =
        |n: usize| get(&format!("/{}", "a".repeat(n - "GET / HTTP/1.1\r\n".len())));
    let head = |n: usize| {
        with(&format!("X: {}\r\n", "a".repeat(n - with("X: \r\n").len())))
    };
    // The status; whether the connection goes on; the request.
    for (expected, stays, request) in [
        (200, true, get("/a.txt")),
        (200, true, get("/a.txt?query")),
        (200, true, get("/%61.txt")),
        (200, true, get("http://h/a.txt")),
        (200, true, get("HTTP://h?x=/y")),
        (200, true, get("/")),
        (200, true, get("/folder/")),
        (200, true, get("/inside")),
        (200, true, with("Cookie: caf\u{e9}\r\n")),
        (200, true, with("Content-Length: 0\r\n")),
        (200, true, with("Content-Length: 0\r\nContent-Length: 0\r\n")),
        (200, true, format!("\r\n\n{}", get("/a.txt"))),
        (200, true, get("/a.txt").replace("\r\n", "\n")),
        (200, true, get("/a.txt").replace("1.1", "1.9")),
        (200, true, head(16_384)),
        (200, false, with("Connection: close\r\n")),
        (200, false, with("Connection: x, CLOSE\r\nConnection: keep-alive\r\n")),
        (200, false, with("Content-Length: 5\r\n")),
        (200, false, with("Transfer-Encoding: chunked\r\n")),
        (200, false, "GET /a.txt HTTP/1.0\r\n\r\n".into()),
        (301, true, get("/folder")),
        (304, true, with("If-None-Match: *\r\n")),
        (400, false, "hello\r\n\r\n".into()),
        (400, false, "GET /a.txt\r\n\r\n".into()),
        (400, false, "GET  /a.txt HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, false, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, false, "GET /a.txt HTTP/1.1\r\n\r\n".into()),
        (400, false, "GET /a.txt http/1.1\r\nHost: h\r\n\r\n".into()),
        (400, false, "GET /a.txt HTTP/11\r\nHost: h\r\n\r\n".into()),
        (400, false, "G(T /a.txt HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (400, false, with("Host: h\r\n")),
        (400, false, with("X : y\r\n")),
        (400, false, with(" X: folded\r\n")),
        (400, false, with("X: y\r\n folded\r\n")),
        (400, false, with("no colon\r\n")),
        (400, false, with(": no name\r\n")),
        (400, false, with("X: a\rb\r\n")),
        (400, false, with("X: a\0b\r\n")),
        (400, false, with("Content-Length: +5\r\n")),
        (400, false, with("Content-Length: -1\r\n")),
        (400, false, with("Content-Length: \r\n")),
        (400, false, with("Content-Length: 0\r\nContent-Length: 5\r\n")),
        (400, false, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into()),
        (400, false, get("a.txt")),
        (400, false, get("/%zz")),
        (400, false, get("/%6")),
        (400, false, get("/%00")),
        (404, true, get("/none")),
        (404, true, get("/../secret")),
        (404, true, get("/%2e%2e/secret")),
        (404, true, get("/folder/%2e%2e%2f..%2fsecret")),
        (404, true, get("//etc/passwd")),
        (404, true, get("/link")),
        (404, true, get("/.hidden")),
        (404, true, get("/a.txt/")),
        (404, true, get("/fifo")),
        (405, true, "DELETE /a.txt HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (405, true, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (405, true, "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (
            405,
            false,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc".into(),
        ),
        (404, true, line(8192)),
        (414, false, line(8193)),
        (414, false, "a".repeat(100_000)),
        (431, false, head(16_385)),
        (431, false, with(&"X: y\r\n".repeat(5000))),
        (501, true, "BREW / HTTP/1.1\r\nHost: h\r\n\r\n".into()),
        (505, false, get("/a.txt").replace("1.1", "2.0")),
        (505, false, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
    ] {
        let shown = &request[..request.len().min(100)];
        let mut client = connect(&server)?;
        // A server that answers early closes early.
        let latin: Vec<u8> = request.chars().map(|c| c as u8).collect();
        let _ = client.write_all(&latin);
        let reply =
            Reply::read(&mut client, true).with_context(|| format!("{shown:?}"))?;
        ensure!(
            reply.status == expected,
            "{shown:?}: {}, not {expected}",
            reply.status
        );
        ensure!(!contains(&reply.body, Site::SECRET), "{shown:?} leads out");
        ensure!(reply.status != 405 || reply.field("allow") == Some("GET, HEAD"));
        ensure!(reply.field("date").is_some_and(|date| date.ends_with(" GMT")));
        ensure!((reply.field("connection") != Some("close")) == stays, "{shown:?}");
        if stays {
            client.write_all(get("/a.txt").as_bytes())?;
            let next = Reply::read(&mut client, true)?;
            ensure!(next.body == b"hello\n", "after {shown:?}: {}", next.status);
        } else {
            ensure!(client.read(&mut [0])? == 0, "after {shown:?}");
        }
    }
    Ok(())
}

#[test]
fn the_http_server_keeps_requests_apart() -> Result<()> {
    let site = pages()?;
    let server = start(lesson("_http_server")?, &[site.folder()])?;
    let get = "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let head = get.replace("GET", "HEAD");
    let mut client = connect(&server)?;
    // HEAD is GET without the body, for whatever status.
    let targets = ["/a.txt", "/", "/folder", "/none", "/large"];
    for target in targets {
        client.write_all(get.replace("/a.txt", target).as_bytes())?;
        let full = Reply::read(&mut client, true)?;
        client.write_all(head.replace("/a.txt", target).as_bytes())?;
        let short = Reply::read(&mut client, false)?;
        let same = |name: &str| full.field(name) == short.field(name);
        ensure!(
            full.status == short.status && same("content-length") && same("etag")
        );
        ensure!(
            full.body.len().to_string()
                == full.field("content-length").unwrap_or("0")
        );
    }
    // What the client has already is not sent again, whatever it calls it.
    client.write_all(get.as_bytes())?;
    let tag =
        Reply::read(&mut client, true)?.field("etag").context("no tag")?.to_owned();
    let strong = tag.trim_start_matches("W/");
    for (known, status) in [(&*tag, 304), (strong, 304), ("\"a\", \"b\"", 200)] {
        let list = format!("\r\nIf-None-Match: \"x\", {known}\r\n\r\n");
        client.write_all(get.replace("\r\n\r\n", &list).as_bytes())?;
        let reply = Reply::read(&mut client, true)?;
        ensure!((reply.status, reply.body.is_empty()) == (status, status == 304));
        ensure!(reply.field("etag") == Some(tag.as_str()));
    }
    fs::write(site.file("a.txt"), "changed\n")?;
    client.write_all(
        get.replace("\r\n\r\n", &format!("\r\nIf-None-Match: {tag}\r\n\r\n"))
            .as_bytes(),
    )?;
    ensure!(Reply::read(&mut client, true)?.body == b"changed\n");
    // A hundred at once, and one in pieces.
    client.write_all(format!("{get}{head}").repeat(50).as_bytes())?;
    for number in 0..100 {
        ensure!(Reply::read(&mut client, number % 2 == 0)?.status == 200);
    }
    for byte in get.bytes() {
        client.write_all(&[byte])?;
    }
    ensure!(Reply::read(&mut client, true)?.body == b"changed\n");
    // One that ends in the middle of a request, or of an answer, is the end of that client only.
    for broken in [&get[..20], "GET /large HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let mut other = connect(&server)?;
        other.write_all(broken.as_bytes())?;
        reset(other)?;
    }
    client.write_all(get.as_bytes())?;
    ensure!(Reply::read(&mut client, true)?.body == b"changed\n");
    Ok(())
}

#[test]
fn the_http_server_waits_and_works_for_nobody_without_end() -> Result<()> {
    let site = pages()?;
    let program = lesson("_http_server")?;
    let server = start(program, &[site.folder(), "200"])?;
    for part in ["G", "GET / HTTP/1.1\r\nHost: h\r\n", "\r\n\r\n\r\n"] {
        // The clock begins to run when this part is there.
        server.pause()?;
        let mut client = connect(&server)?;
        client.write_all(part.as_bytes())?;
        let own = client.local_addr()?;
        until(
            "it is there",
            || Ok(net::unread(server.address, own)? == part.len()),
        )?;
        server.signal(Signal::SIGCONT)?;
        let late = Reply::read(&mut client, true)?;
        ensure!((late.status, late.field("connection")) == (408, Some("close")));
        ensure!(client.read(&mut [0])? == 0);
    }
    // One who says nothing hears nothing.
    ensure!(connect(&server)?.read(&mut [0])? == 0);
    // One who takes nothing is left.
    let deaf = connect(&server)?;
    (&deaf).write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")?;
    until("the server has left it", || Ok(proc::threads(server.pid())? == 1))?;

    // Ten minutes: who is idle stays.
    let mut server = start(program, &[site.folder(), "600000"])?;
    let idle = (0..64).map(|_| connect(&server)).collect::<Result<Vec<_>>>()?;
    let mut refused = connect(&server)?;
    refused.write_all(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let reply = Reply::read(&mut refused, true)?;
    ensure!((reply.status, reply.field("connection")) == (503, Some("close")));
    ensure!(refused.read(&mut [0])? == 0);
    drop(idle);
    until("they have gone", || Ok(proc::threads(server.pid())? == 1))?;
    // Ctrl-C: the request that has come is answered, and told to be the last.
    let mut client = connect(&server)?;
    client.write_all(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")?;
    Reply::read(&mut client, true)?;
    let silent = connect(&server)?;
    server.interrupt_after(&client, "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let last = Reply::read(&mut client, true)?;
    ensure!((last.status, last.field("connection")) == (200, Some("close")));
    ensure!(client.read(&mut [0])? == 0);
    drop(client);
    ensure!(end_of(&mut server)? == "exit status: 0");
    drop(silent);
    Ok(())
}

#[test]
fn curl_is_content() -> Result<()> {
    if !installed("curl") {
        return not_tested("curl", "it is not installed");
    }
    let site = pages()?;
    let server = start(lesson("_http_server")?, &[site.folder()])?;
    let url = |path: &str| format!("http://{}/{path}", server.address);
    let curl = |args: &[&str]| -> Result<String> {
        let mut command = Command::new("curl");
        // Whatever proxy is used elsewhere.
        command.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ]);
        let output = run(command.args(args), "")?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() && errors.is_empty(), "{args:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ensure!(curl(&[&url("a.txt")])? == "hello\n");
    ensure!(curl(&["--http1.0", &url("a.txt")])? == "hello\n");
    let head = curl(&["--head", &url("large")])?;
    ensure!(
        head.starts_with("HTTP/1.1 200 OK\r\n")
            && head.contains("Content-Length: 8388608\r\n")
    );
    let status =
        ["--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"];
    let ask = |args: &[&str]| curl(&[&status[..], args].concat());
    ensure!(ask(&["--path-as-is", &url("../secret")])? == "404 1\n");
    ensure!(ask(&["--location", &url("folder")])?.starts_with("200"));
    ensure!(ask(&["--data", "a=b", &url("")])? == "405 1\n");
    ensure!(
        ask(&["--data-binary", &format!("@{}/large", site.folder()), &url("")])?
            == "405 1\n"
    );
    let two = ask(&[&url("large"), "--output", "/dev/null", &url("a.txt")])?;
    ensure!(two == "200 1\n200 0\n", "one connection for both: {two}");
    let tags = site.file("../tags");
    let tags = tags.to_str().context("a strange name")?;
    ensure!(ask(&["--etag-save", tags, &url("a.txt")])?.starts_with("200"));
    ensure!(ask(&["--etag-compare", tags, &url("a.txt")])?.starts_with("304"));
    Ok(())
}

#[test]
fn a_browser_is_content() -> Result<()> {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| installed(name))
    else {
        return not_tested("the browser", "Chromium is not installed");
    };
    let site = pages()?;
    let page = "<!DOCTYPE html><title>t</title><link rel=stylesheet href=folder/style.css>\
                <p id=p>before<script src=script.js></script><img src=picture.svg id=i>";
    fs::write(site.file("index.html"), page)?;
    fs::write(site.file("folder/style.css"), "p { color: rgb(1, 2, 3) }")?;
    let script = "onload = () => {
        const seen = [getComputedStyle(p).color, i.naturalWidth, document.characterSet];
        p.textContent = seen.join(' ');
    }";
    fs::write(site.file("script.js"), script)?;
    let picture = "<svg xmlns='http://www.w3.org/2000/svg' width='77' height='5'/>";
    fs::write(site.file("picture.svg"), picture)?;
    let server = start(lesson("_http_server")?, &[site.folder()])?;
    let show = |path: &str, profile: &str| -> Result<String> {
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args([
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
            ])
            .arg(format!("--user-data-dir={}", site.file(profile).display()))
            // It puts files there, too.
            .env("HOME", site.file(profile))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .arg("--dump-dom")
            .arg(format!("http://{}/{path}", server.address));
        let output = run(&mut command, "")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let [first, second] = std::thread::scope(|scope| {
        let list = scope.spawn(|| show("folder/", "../profile2"));
        let page = show("", "../profile1");
        [page, list.join().expect("it does not panic")]
    });
    let (page, list) = (first?, second?);
    ensure!(page.contains(">rgb(1, 2, 3) 77 UTF-8<"), "{page}");
    ensure!(list.contains("<a href=\"./style.css\">style.css</a>"), "{list}");
    ensure!(
        list.contains("<a href=\"./%3Cb%3E%20%26%20c\">&lt;b&gt; &amp; c</a>"),
        "{list}"
    );
    Ok(())
}

/// A folder with something of every kind.
fn pages() -> Result<Site> {
    let site = Site::new()?;
    fs::create_dir(site.file("folder"))?;
    fs::write(site.file("folder/<b> & c"), "")?;
    fs::write(site.file("a.txt"), "hello\n")?;
    File::create(site.file("large"))?.set_len(8 << 20)?;
    std::os::unix::fs::symlink("a.txt", site.file("inside"))?;
    nix::unistd::mkfifo(&site.file("fifo"), nix::sys::stat::Mode::S_IRWXU)?;
    Ok(site)
}

/// An answer, as a client sees it.
struct Reply {
    status: u16,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Reply {
    /// Reads one answer and not a byte more; what follows belongs to the next.
    fn read(stream: &mut TcpStream, with_body: bool) -> Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head)?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status
            .and_then(|status| status.get(..3))
            .context("no status")?
            .parse()?;
        let fields: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, fields, body: Vec::new() };
        if with_body && status != 304 {
            reply.body =
                vec![
                    0;
                    reply.field("content-length").context("no length")?.parse()?
                ];
            stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

// What they have in common.

/// After that a server that does not answer is taken to hang. A right one is never waited for so
/// long.
const DEADLINE: Duration = Duration::from_secs(20);

/// The lessons that are servers, found and built.
fn servers() -> &'static BTreeMap<String, PathBuf> {
    static SERVERS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    SERVERS.get_or_init(|| build().expect("the servers build"))
}

fn build() -> Result<BTreeMap<String, PathBuf>> {
    let workbook = Workbook::find()?;
    let mut names = workbook.lessons()?;
    names.retain(|name| {
        let source =
            fs::read_to_string(workbook.path(&format!("lessons/src/bin/{name}.rs")));
        source.is_ok_and(|source| source.contains("serve::role()"))
    });
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    match cargo_build(&workbook, "lessons", &refs, Profile::Plain, false)? {
        Built::Ready(paths) => Ok(names.into_iter().zip(paths).collect()),
        Built::DoesNotCompile => anyhow::bail!("the lessons do not compile"),
    }
}

/// The program of the lesson whose name ends so.
fn lesson(end: &str) -> Result<&'static Path> {
    let found = servers().iter().find(|(name, _)| name.ends_with(end));
    found.map(|(_, path)| path.as_path()).context("there is no such lesson")
}

fn start(program: &Path, args: &[&str]) -> Result<Server> {
    Server::of(program, args, Stdio::inherit())
}

/// A connection that does not wait for ever.
fn connect(server: &Server) -> Result<TcpStream> {
    let stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Closes a connection.
fn leave(_: TcpStream) -> io::Result<()> {
    Ok(())
}

/// Ends a connection with RST.
fn reset(stream: TcpStream) -> io::Result<()> {
    nix::sys::socket::setsockopt(
        &stream,
        nix::sys::socket::sockopt::Linger,
        &libc::linger { l_onoff: 1, l_linger: 0 },
    )?;
    Ok(())
}

/// Sends no more, and waits until the other side does not either.
fn half_close(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

fn end_of(server: &mut Server) -> Result<String> {
    let mut status = None;
    until("the server has ended", || {
        status = server.ended()?;
        Ok(status.is_some())
    })?;
    Ok(status.context("no status")?.to_string())
}

fn run(command: &mut Command, typed: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // One that ends without reading it is looked at below.
    let _ = child.stdin.take().context("no pipe")?.write_all(typed.as_bytes());
    Ok(child.wait_with_output()?)
}

/// One sentence, and status 2.
fn refuses(command: &mut Command) -> Result<()> {
    let output = run(command, "")?;
    let errors = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2), "{}: {errors}", output.status);
    ensure!(errors.lines().count() == 1 && output.stdout.is_empty(), "{errors}");
    Ok(())
}

fn names_in(site: &Site) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(site.folder())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Said past the test harness, which keeps what is printed to itself.
fn not_tested(what: &str, why: &str) -> Result<()> {
    Ok(writeln!(io::stderr(), "NOT TESTED: {what}, because {why}")?)
}
