//! Which channel, at what price?
//!
//! Ten channels between processes, put to the same tests: does it keep boundaries,
//! does it go both ways, can a stranger find it, does a message survive its writer?
//! Then the clock: round trips, and a flow of blocks.
//! Predict: which of the ten keep boundaries? Which is the fastest?
//! Neighbours: 20_pipe, 21_dialogue, 22_mmap.

use anyhow::{Result, ensure};
use lessons::{errno_name, observe, proc, prove, step, until};
use libc::{SIGRTMIN, sem_t, sigset_t};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg::F_SETFL, OFlag, fcntl, open};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::signal::{Signal::SIGKILL, kill};
use nix::sys::socket::{MsgFlags, UnixAddr, connect, recv};
use nix::sys::wait::{WaitStatus::Exited, waitpid};
use nix::sys::{eventfd::EventFd, prctl::set_pdeathsig, stat::Mode, stat::fstat};
use nix::unistd::{ForkResult, Pid, fork, ftruncate, mkfifo, pipe, read, write};
use std::cell::{Cell, UnsafeCell};
use std::fs::{create_dir, read_link, remove_dir_all};
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{env, io, mem, process::Command, ptr};

/// What is expected: of 3 and 5, what comes at once; who can read the receiver's
/// answer; by what a stranger finds it; what becomes of a message without a reader.
const CHANNELS: [[&str; 5]; 10] = [
    ["pipe", "8", "EBADF", "", ""],
    ["FIFO", "8", "EBADF", "a path", "ENXIO"],
    ["socketpair", "8", "the asker", "", ""],
    ["Unix stream", "8", "the asker", "a path", "ECONNREFUSED"],
    ["Unix datagram", "3, 5", "the asker", "a path", "ECONNREFUSED"],
    ["TCP on loopback", "8", "the asker", "a port", "ECONNREFUSED"],
    ["shared memory", "8", "anybody", "a path", "8, later"],
    ["message queue", "3, 5", "anybody", "a name", "3, later"],
    ["signal", "3, 5", "the asker", "a pid", "ESRCH"],
    ["eventfd", "8", "anybody", "", ""],
];
/// The largest message of a queue, if nobody has allowed more: mq_overview(7).
const BLOCK: usize = 8192;
const MEBIBYTE: usize = 1 << 20;
static DATA: [u8; BLOCK] = [0; BLOCK];
/// How many names have been given.
static NAMES: AtomicUsize = AtomicUsize::new(0);

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    // SAFETY: a valid set. Blocked, the signal waits until somebody asks for it.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &our_signal(), ptr::null_mut()) };
    if let [channel, name] = &args[..] {
        let sent =
            attach(channel, name).and_then(|end| end.send(3).and(end.send(5)));
        let error = sent.err().and_then(|e| e.raw_os_error());
        std::process::exit(error.unwrap_or(0));
    }
    create_dir(folder())?;
    // SAFETY: clean_up is a function of C's kind that does not unwind.
    unsafe { libc::atexit(clean_up) };
    let limit = if args == ["--quick"] { 1 } else { 250 };
    lesson(Duration::from_millis(limit))
}

fn lesson(limit: Duration) -> Result<()> {
    lessons::open("Which channel, at what price?");

    step(
        "3 and 5 are sent; 7 is answered. Then both are sent, and nobody is there.",
    );
    observe("", "comes read by   found by     unread");
    let (mut kept, mut read, mut found, mut later) = (true, true, true, true);
    for row in CHANNELS.iter().filter(|row| is_here(row[0])) {
        let (came, by) = received(row)?;
        let (answer, nobody) = (reads_answer(row[0])?, sent_to_nobody(row[0])?);
        let seen = format!("{came:6}{answer:10}{by:13}{nobody}");
        observe(row[0], seen.trim_end());
        kept &= came == row[1];
        read &= answer == row[2];
        // An open file that no path leads to is shown as pipe:[17].
        found &= by.contains('[') == row[3].is_empty();
        later &= nobody == row[4];
    }
    prove("datagrams, queue and signal keep boundaries", kept)?;
    prove("all survive their writer, if the reader is there", kept)?;
    prove("sockets and signals go both ways, three are one place", read)?;
    prove("strangers find all but the three that have no name", found)?;
    prove("memory and queue need no reader", later)?;

    step("Round trips of 8 bytes. A flow of blocks of 8 KiB, one way.");
    for row in CHANNELS.iter().filter(|row| is_here(row[0])) {
        let trips = rounds_per_second(row, (1, 8), limit)?;
        let mut price = format!("{trips:.0} trips/s");
        if !["signal", "eventfd"].contains(&row[0]) {
            let rate = rounds_per_second(row, (MEBIBYTE / BLOCK, BLOCK), limit)?;
            price += &format!(", {rate:.0} MiB/s");
        }
        observe(row[0], price);
    }
    Ok(())
}

/// Some machines have no message queues: mq_overview(7).
fn is_here(channel: &str) -> bool {
    let here = channel != "message queue" || attach(channel, &name()).is_ok();
    if !here {
        observe(channel, "not on this machine");
    }
    here
}

/// 3 and 5 are sent, and the sender ends. What comes at once; by what it was found.
fn received(&[channel, .., by, _]: &[&str; 5]) -> Result<(String, String)> {
    let (receiver, by) = if let Some((sender, receiver)) = inherited(channel)? {
        let child = in_child(|| status(sender.send(3).and(sender.send(5))))?;
        ensure!(waitpid(child, None)? == Exited(child, 0), "the child failed");
        (receiver, open_file(&sender))
    } else {
        let (name, door) = door(channel)?;
        let error = stranger_sends(channel, &name)?;
        ensure!(error == 0, "the stranger: {}", errno_name(error));
        (accept(channel, door)?, by.to_owned())
    };
    if let (End::Bytes(fd), "TCP on loopback") = (&receiver, channel) {
        // The second may still be on its way.
        let peek = || recv(fd.as_raw_fd(), &mut [0; 16], MsgFlags::MSG_PEEK);
        until("both have arrived", || Ok(peek()? == 8))?;
    }
    Ok(match receiver.receive()? {
        3 => (format!("3, {}", receiver.receive()?), by),
        both => (both.to_string(), by),
    })
}

/// The receiver answers. Who can read it: the asker only, or this side as well?
fn reads_answer(channel: &str) -> Result<String> {
    let (asks, answers) = pair(channel)?;
    asks.send(3)?;
    ensure!(answers.receive()? == 3, "another question");
    let error = status(answers.send(7));
    if error != 0 {
        return Ok(errno_name(error));
    }
    // A child tries, on this side's end.
    let child = in_child(|| answers.receive().map_or(0, |number| number as i32))?;
    let mut state = ' ';
    until("it has read, or sleeps", || {
        state = proc::state(child.as_raw(), child.as_raw())?;
        Ok(state == 'Z' || state == 'S')
    })?;
    end(child)?;
    if state == 'Z' {
        return Ok("anybody".to_owned());
    }
    ensure!(asks.receive()? == 7, "another answer");
    Ok("the asker".to_owned())
}

/// The reader has gone, or none has been there. What becomes of a message?
fn sent_to_nobody(channel: &str) -> Result<String> {
    if inherited(channel)?.is_some() {
        return Ok(String::new());
    }
    if channel == "signal" {
        let child = in_child(|| 0)?;
        waitpid(child, None)?;
        return Ok(kill(child, None).err().map_or("0".into(), |e| format!("{e:?}")));
    }
    let name = match channel {
        "shared memory" | "message queue" => name(),
        _ => door(channel)?.0,
    };
    match stranger_sends(channel, &name)? {
        0 => Ok(format!("{}, later", attach(channel, &name)?.receive()?)),
        error => Ok(errno_name(error)),
    }
}

/// A round: `count` messages of `size` one way, then one of 8 back.
fn rounds_per_second(
    [channel, _, answer, ..]: &[&str; 5],
    (count, size): (usize, usize),
    limit: Duration,
) -> Result<f64> {
    let (there, here) = pair(channel)?;
    // What goes one way only needs another one for the answers.
    let other = if *answer == "the asker" { None } else { Some(pair(channel)?) };
    let (back, hears) = other.as_ref().map_or((&here, &there), |(s, r)| (s, r));
    let child = in_child(|| {
        let sends = || (0..count).try_for_each(|_| there.send(size));
        while sends().and_then(|()| hears.receive()).is_ok() {}
        1
    })?;
    let round = || -> io::Result<()> {
        let mut missing = count * size;
        while missing > 0 {
            missing -= here.receive()?;
        }
        back.send(8)
    };
    // The first one is over when the child is there.
    round()?;
    let (start, mut rounds) = (Instant::now(), 0.0);
    while rounds == 0.0 || start.elapsed() < limit {
        round()?;
        rounds += 1.0;
    }
    let rate = rounds / start.elapsed().as_secs_f64();
    end(child).map(|()| rate)
}

/// Both ends of what has no name: the sender and the receiver.
fn inherited(channel: &str) -> Result<Option<(End, End)>> {
    Ok(match channel {
        "pipe" => {
            Some(pipe().map(|(reader, writer)| (bytes(writer), bytes(reader)))?)
        }
        "socketpair" => Some(UnixStream::pair().map(|(a, b)| (bytes(a), bytes(b)))?),
        "eventfd" => {
            let event = OwnedFd::from(EventFd::new()?);
            Some((End::Counter(event.try_clone()?), End::Counter(event)))
        }
        _ => None,
    })
}

/// The sending and the receiving end of a new channel.
fn pair(channel: &str) -> Result<(End, End)> {
    if let Some(ends) = inherited(channel)? {
        return Ok(ends);
    }
    let (name, door) = door(channel)?;
    let sender = attach(channel, &name)?;
    if let (End::Bytes(fd), "Unix datagram") = (&door, channel) {
        // So that it can answer. It hears nobody else from now on.
        connect(fd.as_raw_fd(), &UnixAddr::new(&*format!("{name}.sender"))?)?;
    }
    Ok((sender, accept(channel, door)?))
}

/// Makes a name, and the receiving end that it leads to.
fn door(channel: &str) -> Result<(String, End)> {
    let name = name();
    Ok(match channel {
        "FIFO" => {
            mkfifo(&*name, Mode::S_IRWXU)?;
            (name.clone(), fifo(&name, OFlag::O_RDONLY)?)
        }
        "Unix stream" => (name.clone(), bytes(UnixListener::bind(name)?)),
        "Unix datagram" => (name.clone(), bytes(UnixDatagram::bind(name)?)),
        "TCP on loopback" => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            (listener.local_addr()?.to_string(), bytes(listener))
        }
        "signal" => (proc::own_pid().to_string(), attach(channel, "0")?),
        _ => (name.clone(), attach(channel, &name)?),
    })
}

/// Makes the sending end from the name alone; also a queue or memory, if need be.
fn attach(channel: &str, name: &str) -> io::Result<End> {
    Ok(match channel {
        "FIFO" => fifo(name, OFlag::O_WRONLY)?,
        "Unix stream" => bytes(UnixStream::connect(name)?),
        "Unix datagram" => {
            let socket = UnixDatagram::bind(format!("{name}.sender"))?;
            socket.connect(name)?;
            bytes(socket)
        }
        "TCP on loopback" => {
            let stream = TcpStream::connect(name)?;
            // Else a small message waits until the last one is acknowledged: tcp(7).
            stream.set_nodelay(true)?;
            bytes(stream)
        }
        "message queue" => {
            let limits = MqAttr::new(0, 2, BLOCK as i64, 0);
            let (flags, mode) =
                (MQ_OFlag::O_RDWR | MQ_OFlag::O_CREAT, Mode::S_IRWXU);
            End::Queue(mq_open(&*queue_name(name), flags, mode, Some(&limits))?)
        }
        "signal" => End::Signal(Cell::new(name.parse().map_err(io::Error::other)?)),
        _ => End::Memory(Shared::map(name)?),
    })
}

/// A listener is only the door: every sender that comes gets a socket of its own.
fn accept(channel: &str, door: End) -> io::Result<End> {
    Ok(match (door, channel) {
        (End::Bytes(fd), "Unix stream") => bytes(UnixListener::from(fd).accept()?.0),
        (End::Bytes(fd), "TCP on loopback") => {
            bytes(TcpListener::from(fd).accept()?.0)
        }
        (end, _) => end,
    })
}

/// open(2) of a FIFO waits for the other end; with O_NONBLOCK it does not.
fn fifo(path: &str, access: OFlag) -> io::Result<End> {
    let fd =
        open(path, access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
    fcntl(&fd, F_SETFL(OFlag::empty()))?;
    Ok(bytes(fd))
}

fn bytes(fd: impl Into<OwnedFd>) -> End {
    End::Bytes(fd.into())
}

/// One end. A message is so many bytes; as a signal or in an eventfd, that number.
enum End {
    Bytes(OwnedFd),
    Counter(OwnedFd),
    Queue(MqdT),
    Memory(&'static Shared),
    /// To whom: the sender of the last one.
    Signal(Cell<i32>),
}

/// What lies in the mapped file: a mebibyte is read before the next one is written.
struct Shared {
    filled: UnsafeCell<sem_t>,
    written: AtomicUsize,
    taken: AtomicUsize,
    bytes: UnsafeCell<[u8; MEBIBYTE]>,
}

impl Shared {
    fn map(path: &str) -> nix::Result<&'static Shared> {
        let file = open(path, OFlag::O_RDWR | OFlag::O_CREAT, Mode::S_IRWXU)?;
        let is_new = fstat(&file)?.st_size == 0;
        let size = NonZero::new(size_of::<Shared>()).ok_or(Errno::EINVAL)?;
        ftruncate(&file, size.get() as i64)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a free address, and zeros are a Shared. It is never unmapped. Its
        // creator makes the semaphore: 1, between processes; 0, nothing is there.
        unsafe {
            let at = mmap(None, size, access, MapFlags::MAP_SHARED, &file, 0)?;
            let shared: &Shared = at.cast().as_ref();
            if is_new {
                libc::sem_init(shared.filled.get(), 1, 0);
            }
            Ok(shared)
        }
    }
}

impl End {
    fn send(&self, size: usize) -> io::Result<()> {
        match self {
            End::Bytes(fd) => _ = write(fd, &DATA[..size])?,
            End::Counter(fd) => _ = write(fd, &size.to_ne_bytes())?,
            End::Queue(queue) => mq_send(queue, &DATA[..size], 0)?,
            End::Memory(memory) => {
                let at = memory.written.load(SeqCst) % MEBIBYTE;
                // SAFETY: the only writer. Nobody reads there before the post.
                unsafe {
                    let to = memory.bytes.get().cast::<u8>().add(at);
                    to.copy_from_nonoverlapping(DATA.as_ptr(), size);
                    memory.written.fetch_add(size, SeqCst);
                    libc::sem_post(memory.filled.get());
                }
            }
            End::Signal(to) => {
                let sival_ptr = ptr::without_provenance_mut(size);
                let value = libc::sigval { sival_ptr };
                // SAFETY: the value is a number that nobody uses as a pointer.
                Errno::result(unsafe {
                    libc::sigqueue(to.get(), SIGRTMIN(), value)
                })?;
            }
        }
        Ok(())
    }

    /// Waits until something is there, and takes a message or a block at most.
    fn receive(&self) -> io::Result<usize> {
        let (mut block, mut number) = ([0; BLOCK], [0; 8]);
        Ok(match self {
            End::Bytes(fd) => read(fd, &mut block)?,
            End::Counter(fd) => {
                read(fd, &mut number).map(|_| usize::from_ne_bytes(number))?
            }
            End::Queue(queue) => mq_receive(queue, &mut block, &mut 0)?,
            // SAFETY: what was posted is written, and written once.
            End::Memory(memory) => unsafe {
                libc::sem_wait(memory.filled.get());
                let at = memory.taken.load(SeqCst);
                let size = BLOCK.min(memory.written.load(SeqCst) - at);
                let from = memory.bytes.get().cast::<u8>().add(at % MEBIBYTE);
                from.copy_to_nonoverlapping(block.as_mut_ptr(), size);
                memory.taken.fetch_add(size, SeqCst);
                size
            },
            // SAFETY: zeros are a siginfo_t; sigwaitinfo(2) fills it.
            End::Signal(from) => unsafe {
                let mut info: libc::siginfo_t = mem::zeroed();
                Errno::result(libc::sigwaitinfo(&our_signal(), &mut info))?;
                from.set(info.si_pid());
                info.si_value().sival_ptr.addr()
            },
        })
    }
}

/// Real-time signals are queued one by one, the others are not: signal(7).
fn our_signal() -> sigset_t {
    // SAFETY: sigemptyset makes it valid.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, SIGRTMIN());
        set
    }
}

fn folder() -> String {
    format!("{}/24_ipc-{}", env::temp_dir().display(), proc::own_pid())
}

/// Runs at exit(3), also if the lesson fails or nobody reads what it says.
extern "C" fn clean_up() {
    let _ = remove_dir_all(folder());
    for number in 0..NAMES.load(SeqCst) {
        // Most of these names are no queue's.
        let _ = mq_unlink(&*queue_name(&format!("{}/{number}", folder())));
    }
}

fn name() -> String {
    format!("{}/{}", folder(), NAMES.fetch_add(1, SeqCst))
}

/// mq_overview(7): one slash, at the start.
fn queue_name(path: &str) -> String {
    format!("/{}", path.replace('/', "-"))
}

/// Starts this program as a stranger, told a name. What went wrong there, or 0.
fn stranger_sends(channel: &str, name: &str) -> Result<i32> {
    let status = Command::new("/proc/self/exe").args([channel, name]).status()?;
    Ok(status.code().unwrap_or(-1))
}

fn open_file(end: &End) -> String {
    let (End::Bytes(fd) | End::Counter(fd)) = end else { return String::new() };
    let link = read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    link.unwrap_or_default().display().to_string()
}

/// The number of the error, or 0.
fn status(result: io::Result<()>) -> i32 {
    result.map_or_else(|e| e.raw_os_error().unwrap_or(-1), |()| 0)
}

/// Starts a child that does `work` and ends with its result.
fn in_child(work: impl FnOnce() -> i32) -> Result<Pid> {
    // SAFETY: this process has one thread, so the child may do what it likes.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok(child);
    }
    let _ = set_pdeathsig(SIGKILL);
    // SAFETY: it ends the child, and nothing in it is to be cleaned up.
    unsafe { libc::_exit(work()) }
}

fn end(child: Pid) -> Result<()> {
    kill(child, SIGKILL)?;
    waitpid(child, None)?;
    Ok(())
}
