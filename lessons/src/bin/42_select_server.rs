//! Can one thread serve many?
//!
//! It waits for all of them at once, and does for each that is ready what can be
//! done without waiting. What they share needs no lock: here a chat room.
//! Predict: one of the guests listens no more. Who notices, and when?
//! Neighbours: 37_nonblocking, 41_select, 44_epoll_server.

use anyhow::Result;
use lessons::net;
use lessons::proc::{self, Set};
use lessons::serve::{Role, Server, Stop, errno, shut_reading, wrong_use};
use lessons::{observe, prove, step, until};
use nix::errno::Errno::{
    EAGAIN, ECONNABORTED, EINTR, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM,
};
use nix::sys::select::{FD_SETSIZE, FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, args) => match args.first().map(String::as_str) {
            None => run(listener, &Stop::new()?, Client::says),
            Some("echo") => serve(listener, &Stop::new()?),
            Some(_) => wrong_use("serve [ADDRESS]: a chat room; serve ADDRESS echo"),
        },
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send. It sleeps until select(2) finds some of them ready.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    run(listener, stop, |sender, bytes, _| sender.is_told(bytes))
}

/// What becomes of these bytes, which this client has sent, among all the clients.
type Said = fn(&Client, &[u8], &[Client]);

fn run(listener: TcpListener, stop: &Stop, said: Said) -> Result<()> {
    listener.set_nonblocking(true)?;
    stop.shuts(&listener);
    let mut clients: Vec<Client> = Vec::new();
    let mut buffer = [0; 16384];
    // Whether somebody is in the queue for whom no descriptor was free.
    let mut queue = false;
    while !(stop.requested() && clients.is_empty()) {
        let stops = stop.requested();
        if stops {
            clients.iter().for_each(|c| shut_reading(&c.stream));
        }
        // select(2) overwrites its sets: they are made again each time.
        let (mut reads, mut writes) = (FdSet::new(), FdSet::new());
        if !stops {
            reads.insert(stop.as_fd());
        }
        if !stops && !queue {
            reads.insert(listener.as_fd());
        }
        let mut highest = stop.as_fd().as_raw_fd();
        for client in &clients {
            let open = client.stream.as_fd();
            highest = highest.max(open.as_raw_fd());
            // Who does not take what he was told is not listened to.
            if client.is_behind() {
                writes.insert(open);
            } else if !client.ended.get() {
                reads.insert(open);
            }
        }
        let mut pause = queue.then(|| TimeVal::seconds(1));
        match select(highest + 1, &mut reads, &mut writes, None, pause.as_mut()) {
            Err(EINTR) => continue,
            result => result?,
        };
        for client in &clients {
            if writes.contains(client.stream.as_fd()) {
                client.takes();
            } else if reads.contains(client.stream.as_fd()) {
                client.speaks(&mut buffer, &clients, said);
            }
        }
        queue |= reads.contains(listener.as_fd());
        // Before the last ones go, they hear what the others had to say.
        let wait = stops && clients.iter().any(|c| !c.ended.get() && !c.is_behind());
        let stays = |c: &Client| wait || c.is_behind() || !c.ended.get();
        clients.retain(|client| !client.lost.get() && stays(client));
        if queue {
            queue = accept_all(&listener, stop, &mut clients)?;
        }
    }
    Ok(())
}

/// Takes all out of the queue. True if some are left in it.
fn accept_all(
    listener: &TcpListener,
    stop: &Stop,
    clients: &mut Vec<Client>,
) -> Result<bool> {
    loop {
        match errno(listener.accept()) {
            // No set has room for it.
            Ok((mut stream, _)) if stream.as_raw_fd() as usize >= FD_SETSIZE => {
                _ = stream.write_all(b"sorry, there is no room left\n");
            }
            Ok((stream, _)) => clients.push(Client::new(stream)?),
            Err(EAGAIN) => return Ok(false),
            Err(ECONNABORTED) => {}
            // All descriptors are in use. Those in the queue wait until one is free.
            Err(EMFILE | ENFILE | ENOBUFS | ENOMEM) => return Ok(true),
            Err(EINVAL) if stop.requested() => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Who cannot wait has to remember where it was. In one thread a Cell is enough for
/// what several of them change; there is no lock.
struct Client {
    stream: TcpStream,
    /// What it says, until the line is whole.
    line: RefCell<Vec<u8>>,
    /// What it is told, until it takes it.
    told: RefCell<Vec<u8>>,
    /// It has said its last.
    ended: Cell<bool>,
    lost: Cell<bool>,
}

/// The longest line; and what is kept for one who is slow, here and in the kernel.
const LINE: usize = 1024;
const MOST: usize = 65536;

impl Client {
    fn new(stream: TcpStream) -> Result<Client> {
        stream.set_nonblocking(true)?;
        SockRef::from(&stream).set_send_buffer_size(MOST)?;
        let (line, told) = (RefCell::default(), RefCell::default());
        let (ended, lost) = (Cell::default(), Cell::default());
        Ok(Client { stream, line, told, ended, lost })
    }

    fn is_behind(&self) -> bool {
        !self.told.borrow().is_empty()
    }

    fn speaks(&self, buffer: &mut [u8], all: &[Client], said: Said) {
        match errno((&self.stream).read(buffer)) {
            Ok(0) if self.line.borrow().is_empty() => self.ended.set(true),
            // Not yet: the next read(2) says so once more.
            Ok(0) => said(self, b"\n", all),
            Ok(n) => said(self, &buffer[..n], all),
            Err(EAGAIN) => {}
            // The end of that client only.
            Err(_) => self.lost.set(true),
        }
    }

    /// Puts lines together; before each stands who says it, a descriptor's number.
    fn says(&self, mut bytes: &[u8], all: &[Client]) {
        let mut line = self.line.borrow_mut();
        while !bytes.is_empty() {
            if line.is_empty() {
                _ = write!(line, "{}: ", self.stream.as_raw_fd());
            }
            let room = (LINE - line.len()) as u64;
            _ = bytes.by_ref().take(room).read_until(b'\n', &mut line);
            if line.len() == LINE && !line.ends_with(b"\n") {
                line.push(b'\n');
            }
            if line.ends_with(b"\n") {
                let here = all.iter().filter(|client| !client.lost.get());
                let others = here.filter(|client| !std::ptr::eq(*client, self));
                others.for_each(|client| client.is_told(&line));
                line.clear();
            }
        }
    }

    /// At once, as far as that goes. Who is too far behind is sent away.
    fn is_told(&self, bytes: &[u8]) {
        let later = self.is_behind();
        self.told.borrow_mut().extend_from_slice(bytes);
        if !later {
            self.takes();
        }
        self.lost.set(self.lost.get() || self.told.borrow().len() > MOST);
    }

    fn takes(&self) {
        let mut told = self.told.borrow_mut();
        match errno((&self.stream).write(&told)) {
            Ok(n) => drop(told.drain(..n)),
            Err(EAGAIN) => {}
            Err(_) => self.lost.set(true),
        }
    }
}

fn scene() -> Result<()> {
    lessons::open("Can one thread serve many?");
    let most = proc::may_open(FD_SETSIZE + 100)?;
    let server = Server::start(&[])?;
    let guest = || TcpStream::connect(server.address).map(BufReader::new);
    let reading = || proc::selected(server.pid(), Set::Read);

    step("A chat room. Three come; the first speaks, and then the second.");
    let mut guests = [guest()?, guest()?, guest()?];
    // Who is connected, and not accepted yet, would not hear the first.
    until("all are in the room", || Ok(net::accepted(server.address)? == 3))?;
    guests[0].get_ref().write_all(b"hello\n")?;
    let heard = [line(&mut guests[1])?, line(&mut guests[2])?];
    guests[1].get_ref().write_all(b"h")?;
    let (its_end, far_end) = (guests[1].get_ref().local_addr()?, server.address);
    until("half the line is read", || net::all_read(its_end, far_end))?;
    guests[1].get_ref().write_all(b"i\n")?;
    let first = line(&mut guests[0])?;
    let (threads, reads) = (proc::threads(server.pid())?, reading()?);
    observe("the second, the third hear", heard.join(", "));
    observe("the first hears", &first);
    observe("threads, sleeping in select(2)", threads);
    observe("on these descriptors", format!("{reads:?}"));
    let lines = heard == ["5: hello", "5: hello"] && first == "6: hi";
    prove("whole lines, for all but the one who says them", lines)?;
    prove("one thread waits for all of them", (threads, reads.len()) == (1, 5))?;

    step("The third listens no more. The first speaks on and on.");
    let text = format!("{}\n", "x".repeat(999)).repeat(60);
    let (mut said, mut lines, mut behind) = (0, 0, 0);
    until("the third is sent away", || {
        guests[0].get_ref().write_all(text.as_bytes())?;
        said += 60;
        while lines < said && line(&mut guests[1])?.len() == 1002 {
            lines += 1;
        }
        let now = proc::selected(server.pid(), Set::Write)?;
        behind = behind.max(now.first().copied().unwrap_or(0));
        Ok(now.is_empty() && reading()?.len() == 4)
    })?;
    let mut kept = String::new();
    guests[2].read_to_string(&mut kept)?;
    let memory = proc::anonymous(server.pid())?;
    observe("lines the second heard", format!("{lines} of {said}"));
    observe("meanwhile watched for writing", behind);
    observe("the third finds, and the end", format!("{} KiB", kept.len() >> 10));
    observe("the server's memory", memory);
    prove("one that does not listen stops nobody", lines == said && behind == 7)?;
    prove("it is sent away before it costs much", memory.0 < 1 << 20)?;

    step("More and more come, until a descriptor has no place in a set.");
    let mut crowd = Vec::new();
    while crowd.len() + 10 < most {
        let one = guest()?;
        // Ended by a reset, none of these connections stays behind in TIME-WAIT.
        SockRef::from(one.get_ref()).set_linger(Some(Default::default()))?;
        crowd.push(one);
    }
    // Where so many descriptors are not allowed, nobody has to be refused.
    let answer = match crowd.last_mut() {
        Some(last) if most > FD_SETSIZE => line(last)?,
        _ => format!("nothing, {most} are allowed"),
    };
    guests[1].get_ref().write_all(b"still here?\n")?;
    let last = line(&mut guests[0])?;
    observe("the highest in the set", reading()?.last().unwrap_or(&0));
    observe("who comes then is told", &answer);
    let is_told = answer.starts_with("sorry") || most <= FD_SETSIZE;
    prove("no place: he is told", is_told)?;
    prove("and the others go on talking", last == "6: still here?")?;
    drop(crowd);

    step("The first says one thing more, and before it is read comes Ctrl-C.");
    server.interrupt_after(guests[0].get_ref(), "good night\n")?;
    let rest = [line(&mut guests[1])?, line(&mut guests[1])?];
    let told = rest == ["5: good night", ""];
    observe("the second hears, then the end", &rest[0]);
    prove("it is told before the end", told && server.wait()?.success())?;

    step("The same loop as an echo server: who hears it is the one who says it.");
    let server = Server::start(&["echo"])?;
    let mut guest = BufReader::new(TcpStream::connect(server.address)?);
    guest.get_ref().write_all(b"one\n")?;
    let answer = line(&mut guest)?;
    server.interrupt_after(guest.get_ref(), "two")?;
    let rest = line(&mut guest)?;
    observe("it reads", format!("{answer}, {rest}"));
    let both = (answer, rest) == ("one".to_owned(), "two".to_owned());
    prove("bytes, whole lines or not", both && server.wait()?.success())
}

fn line(guest: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    guest.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
