//! What the lessons on servers share. Each of them runs in two ways: without arguments it stages a
//! scene with its own server and ends; `-- serve [ADDRESS]` is that server, for nc, curl or `--
//! client ADDRESS`, until Ctrl-C.
//!
//! The scene starts the server as a process of its own ([`Server`]), so that the kernel's evidence
//! about it (descriptors, threads, children) is not mixed up with the clients'.

use crate::{net, proc, until};
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction,
};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// What the program was asked to be.
pub enum Role {
    Scene,
    /// A server at this listening socket, with the arguments after the address.
    Serve(TcpListener, Vec<String>),
    /// A client of a server there, with the arguments after the address.
    Client(SocketAddr, Vec<String>),
}

/// Reads the command line: nothing or options, `serve [ADDRESS]`, or `client ADDRESS`. Wrong use,
/// and an address at which one cannot listen, end the program with a sentence and status 2.
///
/// A server without an address listens on 127.0.0.1, at a port that the kernel picks; it prints
/// where.
pub fn role() -> Role {
    let text = |arg: OsString| {
        let no_text = |arg| wrong_use(format_args!("{arg:?} is no text (UTF-8)"));
        arg.into_string().unwrap_or_else(no_text)
    };
    let mut args = std::env::args_os().skip(1).map(text);
    match (args.next().as_deref(), args.next()) {
        (None, _) => Role::Scene,
        (Some(option), _) if option.starts_with("--") => Role::Scene,
        (Some("serve"), address) => {
            let listener = listen(address.as_deref().unwrap_or("127.0.0.1:0"));
            Role::Serve(listener, args.collect())
        }
        (Some("client"), Some(address)) => {
            Role::Client(parse(&address), args.collect())
        }
        _ => wrong_use(
            "use it without arguments, or: serve [ADDRESS], client ADDRESS",
        ),
    }
}

/// Ends the program with one sentence and status 2.
pub fn wrong_use(sentence: impl Display) -> ! {
    eprintln!("{sentence}");
    std::process::exit(2)
}

fn parse(address: &str) -> SocketAddr {
    address.parse().unwrap_or_else(|_| {
        wrong_use(format_args!(
            "“{address}” is no address and port, such as 127.0.0.1:8888"
        ))
    })
}

fn listen(address: &str) -> TcpListener {
    let address = parse(address);
    // Who reads the line may send a signal at once: it waits for [`Stop::new`].
    let blocked = SigSet::from_iter(STOPPING).thread_block();
    blocked.expect("a set of two signals is valid");
    let listening = TcpListener::bind(address).and_then(|listener| {
        let address = listener.local_addr()?;
        writeln!(std::io::stdout(), "listening on {address}, until Ctrl-C")?;
        Ok(listener)
    });
    listening.unwrap_or_else(|e| match e.kind() {
        ErrorKind::AddrInUse => {
            wrong_use(format_args!("another program listens on {address}"))
        }
        ErrorKind::PermissionDenied => wrong_use(format_args!(
            "port {} is for root only; those from 1024 up are for everybody",
            address.port()
        )),
        _ => wrong_use(format_args!("cannot listen on {address}: {e}")),
    })
}

/// The signals that ask a server to end.
const STOPPING: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

/// What the handler of SIGINT and SIGTERM needs, which may read no memory but this.
static STOPPED: AtomicBool = AtomicBool::new(false);
static BELL: AtomicI32 = AtomicI32::new(-1);
static SHUT: [AtomicI32; 2] = [const { AtomicI32::new(-1) }; 2];

/// How a server learns that it is to end, by SIGINT (Ctrl-C) or SIGTERM. It accepts no more, answers
/// what has arrived, and returns. A second signal ends it at once.
///
/// A server that waits for many descriptors waits for this one too: it can be read from then on. One
/// that waits in accept(2) or read(2) names the socket ([`Stop::shuts`]).
pub struct Stop {
    bell: EventFd,
}

impl Stop {
    /// Installs the handlers. To be called once, before there are other threads.
    ///
    /// # Errors
    /// Those of eventfd(2) and sigaction(2).
    pub fn new() -> Result<Stop> {
        let bell =
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        BELL.store(bell.as_raw_fd(), SeqCst);
        install(SaFlags::SA_RESTART | SaFlags::SA_RESETHAND)?;
        SigSet::from_iter(STOPPING).thread_unblock()?;
        Ok(Stop { bell })
    }

    /// Whether the signal has come.
    pub fn requested(&self) -> bool {
        STOPPED.load(SeqCst)
    }

    /// From the signal on nothing more arrives at this socket: accept(2) fails with EINVAL; read(2)
    /// takes what is there, and then sees the end. At most two sockets at a time.
    pub fn shuts(&self, socket: impl AsFd) {
        let fd = socket.as_fd().as_raw_fd();
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(-1, fd, SeqCst, SeqCst).is_ok()
        };
        SHUT.iter().find(free).expect("at most two sockets at a time");
        if self.requested() {
            shut(fd);
        }
    }

    /// Waits until something is to be read from this socket, if only its end. False if the server is
    /// to stop before that, or the time is up.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait_for(
        &self,
        socket: impl AsFd,
        limit: Duration,
    ) -> std::io::Result<bool> {
        let deadline = Instant::now() + limit;
        let one = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut both = [one(socket.as_fd()), one(self.as_fd())];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up: else it would ask again and again in the last millisecond.
            let left = left + Duration::from_millis(1);
            match poll(
                &mut both,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            ) {
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
                Ok(_) => return Ok(both[0].any().unwrap_or(false)),
            }
        }
    }

    /// In a child that has just been forked to serve a client: it has nothing to do with the
    /// listening socket. The parent passes the signal on, so a second one is no more than the
    /// first; should the parent be ended at once, then so is the child.
    ///
    /// # Errors
    /// Those of prctl(2) and sigaction(2); the parent has ended.
    pub fn in_child(&self, listener: impl AsFd, parent: Pid) -> Result<()> {
        self.forgets(listener);
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before that call.
        anyhow::ensure!(nix::unistd::getppid() == parent, "the server has ended");
        install(SaFlags::SA_RESTART)
    }

    /// Waits for the signal.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(&self) -> Result<()> {
        while !self.requested() {
            let mut bell = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut bell, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Does what the signal does, for a server that cannot go on.
    pub fn request(&self) {
        stop(0);
    }

    /// The socket is about to be closed, and its number may mean another soon.
    pub fn forgets(&self, socket: impl AsFd) {
        let fd = socket.as_fd().as_raw_fd();
        for slot in &SHUT {
            let _ = slot.compare_exchange(fd, -1, SeqCst, SeqCst);
        }
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Serves each client in a thread of its own, `most` at a time. Those beyond are handed to `refuse`,
/// as many again; then they are closed without a word. Returns when the server is to stop and all
/// have been served: for lessons whose subject is what is said, and not to how many
/// (39_thread_server is about that).
///
/// # Errors
/// Those of accept(2).
pub fn each_in_a_thread(
    listener: &TcpListener,
    stop: &Stop,
    most: usize,
    refuse: impl Fn(&TcpStream) -> std::io::Result<()> + Sync,
    serve: impl Fn(&TcpStream) -> std::io::Result<()> + Sync,
) -> Result<()> {
    let (serve, refuse) = (&serve, &refuse);
    let (served, refused) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    stop.shuts(listener);
    std::thread::scope(|scope| {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(_) if stop.requested() => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) if no_room(&e) => {
                    // Some day a client leaves. Nothing tells when.
                    let bell = PollFd::new(stop.as_fd(), PollFlags::POLLIN);
                    let _ = poll(&mut [bell], 100_u16);
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            let (seat, welcome) = match Seat::take(served, most) {
                Some(seat) => (seat, true),
                None => match Seat::take(refused, most) {
                    Some(seat) => (seat, false),
                    None => continue,
                },
            };
            let conversation = move || {
                let _seat = seat;
                // An error of one client's connection is the end of that client only; so is a
                // panic, of which standard error tells.
                let _ = catch_unwind(AssertUnwindSafe(|| match welcome {
                    true => serve(&client),
                    false => refuse(&client),
                }));
            };
            // Where no thread is to be had the client is dropped, and so closed.
            let _ = std::thread::Builder::new().spawn_scoped(scope, conversation);
        }
    })
}

fn install(flags: SaFlags) -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(stop), flags, SigSet::empty());
    for signal in STOPPING {
        // SAFETY: the handler sets atomics and calls write(2) and shutdown(2), both of which
        // signal-safety(7) allows.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// One of a number of seats, free again when this is dropped.
struct Seat<'a>(&'a AtomicUsize);

impl Seat<'_> {
    fn take(taken: &AtomicUsize, most: usize) -> Option<Seat<'_>> {
        let one_more = |n| (n < most).then_some(n + 1);
        taken.fetch_update(SeqCst, SeqCst, one_more).ok().map(|_| Seat(taken))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Whether accept(2) failed for want of descriptors or memory: the connection stays in the queue.
fn no_room(e: &std::io::Error) -> bool {
    let errno = Errno::from_raw(e.raw_os_error().unwrap_or(0));
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
}

extern "C" fn stop(_: libc::c_int) {
    let errno = Errno::last_raw();
    STOPPED.store(true, SeqCst);
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write(2) from eight bytes that live on; that it may fail does not matter here.
    unsafe { libc::write(BELL.load(SeqCst), one.as_ptr().cast(), one.len()) };
    for slot in &SHUT {
        shut(slot.load(SeqCst));
    }
    Errno::set_raw(errno);
}

/// From now on nothing more arrives at this socket: read(2) takes what is there, and then sees the
/// end.
pub fn shut_reading(socket: &impl AsRawFd) {
    shut(socket.as_raw_fd());
}

/// shutdown(2) with SHUT_RD would not be enough on Linux: what arrives later can still be read. A
/// client that sends without end could hold the server up; and bytes that come between the last
/// read(2) and close(2) would make the kernel reset the connection, and the client lose answers. So a
/// filter (socket(7), SO_ATTACH_FILTER) cuts off from each segment all but its header: it still
/// acknowledges, and brings nothing. signal-safety(7) allows both calls.
///
/// Of a number that is no socket the kernel says so, and that is all.
fn shut(fd: i32) {
    let keep_one_byte = libc::BPF_RET | libc::BPF_K;
    let mut only_header =
        libc::sock_filter { code: keep_one_byte as u16, jt: 0, jf: 0, k: 1 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut only_header };
    let size = size_of_val(&program) as libc::socklen_t;
    let (level, attach) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: `program` and its one instruction are `size` and one long, and are only read, during
    // the call; shutdown(2) touches no memory of this process.
    unsafe {
        libc::setsockopt(fd, level, attach, (&raw const program).cast(), size);
        libc::shutdown(fd, libc::SHUT_RD);
    }
}

/// This program once more, as a server. It ends with this process.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts `serve 127.0.0.1:0` with these further arguments, and returns when it listens.
    ///
    /// # Errors
    /// It cannot be started, or does not say where it listens.
    pub fn start(args: &[&str]) -> Result<Server> {
        Server::of(&std::env::current_exe()?, args, Stdio::inherit())
    }

    /// The same with the program of another lesson, whose messages go to `errors`.
    ///
    /// # Errors
    /// It cannot be started, or does not say where it listens.
    pub fn of(program: &Path, args: &[&str], errors: Stdio) -> Result<Server> {
        let mut command = Command::new(program);
        command.args(["serve", "127.0.0.1:0"]).args(args);
        command.stdout(Stdio::piped()).stderr(errors);
        let parent = std::process::id() as i32;
        // SAFETY: between fork and exec the child makes four system calls, nothing else.
        unsafe {
            command.pre_exec(move || {
                // What this thread has blocked is not the server's.
                SigSet::empty().thread_set_mask()?;
                // What else is open here, perhaps since before this program, is not the server's.
                libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32);
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                // It may have ended before that call.
                match nix::unistd::getppid().as_raw() == parent {
                    true => Ok(()),
                    false => Err(ErrorKind::BrokenPipe.into()),
                }
            });
        }
        let mut child = command.spawn().context("cannot start the server")?;
        let mut line = String::new();
        let output = child.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.strip_prefix("listening on ").unwrap_or_default();
        let address = address.split(',').next().unwrap_or_default().parse();
        Ok(Server { child, address: address.context("the server does not listen")? })
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether its main thread sleeps in the system call `number` (`libc::SYS_…`).
    ///
    /// # Errors
    /// Those of reading `/proc`: it has ended.
    pub fn waits_in(&self, number: i64) -> Result<bool> {
        let call = proc::syscall(self.pid(), self.pid())?;
        Ok(call.is_some_and(|call| call.number == number))
    }

    /// Whether it has ended, and with what; without waiting for that.
    ///
    /// # Errors
    /// Those of wait(2).
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its process, and those that it has started.
    pub fn processes(&self) -> Vec<i32> {
        let children = proc::descendants(self.pid()).unwrap_or_default();
        std::iter::once(self.pid()).chain(children).collect()
    }

    /// If all threads of all its processes sleep: how often they have left the processor. If two
    /// looks see the same number, they slept all the time between them.
    ///
    /// # Errors
    /// Those of reading `/proc`: one of them has ended.
    pub fn asleep(&self) -> Result<Option<u64>> {
        let mut switches = 0;
        for pid in self.processes() {
            for tid in proc::tids(pid)? {
                if proc::state(pid, tid)? != 'S' {
                    return Ok(None);
                }
                switches += proc::switches(pid, tid)?;
            }
        }
        Ok(Some(switches))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Those of kill(2).
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.pid()), signal)?)
    }

    /// Stops its threads where they are, until SIGCONT; returns when the kernel says so.
    ///
    /// # Errors
    /// Those of kill(2) and of reading `/proc`.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        until("the server is stopped", || {
            let mut tids = proc::tids(self.pid())?.into_iter();
            Ok(tids.all(|tid| proc::state(self.pid(), tid).is_ok_and(|s| s == 'T')))
        })
    }

    /// The client sends this, and then comes Ctrl-C, before the server has read any of it.
    ///
    /// # Errors
    /// Those of write(2), kill(2) and of reading `/proc`.
    pub fn interrupt_after(&self, mut client: &TcpStream, text: &str) -> Result<()> {
        self.pause()?;
        client.write_all(text.as_bytes())?;
        let from = client.local_addr()?;
        until("it has arrived", || {
            Ok(net::unread(self.address, from)? == text.len())
        })?;
        self.signal(Signal::SIGINT)?;
        self.signal(Signal::SIGCONT)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Those of wait(2).
    pub fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Stops it as Ctrl-C does and waits for its end.
    ///
    /// # Errors
    /// Those of kill(2) and wait(2).
    pub fn stop(self) -> Result<ExitStatus> {
        self.signal(Signal::SIGINT)?;
        self.wait()
    }
}

impl Drop for Server {
    /// Where a proof did not hold.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server answers to this text, which an echo server repeats.
///
/// # Errors
/// Those of read(2) and write(2); the connection ends before all has come.
pub fn says(client: &mut TcpStream, text: &str) -> Result<String> {
    client.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What a call of std's has failed with, by its name.
///
/// # Errors
/// This very error.
pub fn errno<T>(result: std::io::Result<T>) -> nix::Result<T> {
    result.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}

/// A client for a terminal: sends standard input to the server, prints what comes back, and ends
/// when the server has nothing more to say.
///
/// # Errors
/// Those of connect(2), read(2) and write(2).
pub fn client(server: SocketAddr) -> Result<()> {
    let stream = TcpStream::connect(server)
        .unwrap_or_else(|e| wrong_use(format_args!("no server at {server}: {e}")));
    let mut to_server = stream.try_clone()?;
    std::thread::spawn(move || {
        let sent = std::io::copy(&mut std::io::stdin(), &mut to_server);
        // The server hears that there is no more, and can still answer.
        sent.and_then(|_| to_server.shutdown(Shutdown::Write))
    });
    match std::io::copy(&mut &stream, &mut std::io::stdout()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

/// What the servers of files have to serve in their scenes: a folder with a hidden file and a link
/// that leads out, to a file beside the folder. It is gone when this is dropped, or the program ends
/// by exit(3), for instance because nobody reads its output any more, or by Ctrl-C.
pub struct Site {
    top: PathBuf,
    folder: String,
}

impl Site {
    /// What strangers must not see.
    pub const SECRET: &[u8] = b"nobody's business";

    /// Makes it below the folder for temporary files. To be called before there are other threads.
    ///
    /// # Errors
    /// Those of mkdir(2) and the like.
    pub fn new() -> Result<Site> {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("site-XXXXXX"))?;
        SITES.lock().expect("nobody panics with it").push(top.clone());
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| {
            // SAFETY: the function may be called at any time, and does not unwind.
            unsafe { libc::atexit(remove_sites) };
            exit_when_interrupted();
        });
        let folder = top.join("site");
        let name =
            folder.to_str().context("a temporary folder of a strange name")?;
        let site = Site { folder: name.to_owned(), top };
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join(".hidden"), Site::SECRET)?;
        std::fs::write(site.top.join("secret"), Site::SECRET)?;
        std::os::unix::fs::symlink("../secret", folder.join("link"))?;
        Ok(site)
    }

    /// The folder that is served.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

/// The folders of all sites of this program; they may be gone already.
static SITES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// From now on a signal that would end this program makes it call exit(3). One thread waits for it;
/// the others have it blocked.
fn exit_when_interrupted() {
    let signals =
        SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    let blocked = signals.thread_block();
    blocked.expect("a set of three signals is valid");
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            // As a shell tells it.
            std::process::exit(128 + signal as i32);
        }
    });
}

extern "C" fn remove_sites() {
    for top in SITES.lock().iter().flat_map(|sites| sites.iter()) {
        let _ = std::fs::remove_dir_all(top);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_has_arrived_is_read_and_then_nothing_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(server).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let from = client.local_addr().unwrap();
        client.write_all(b"before").unwrap();
        until("it has arrived", || Ok(net::unread(server, from)? == 6)).unwrap();
        shut_reading(&accepted);
        client.write_all(b"after").unwrap();
        let mut read = String::new();
        accepted.read_to_string(&mut read).unwrap();
        accepted.write_all(b"the answer").unwrap();
        drop(accepted);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((&*read, &*answer), ("before", "the answer"));
    }
}
