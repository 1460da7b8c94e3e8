//! What the kernel says of processes and threads, read from `/proc` (proc(5)).
//!
//! Every function takes the process id (and thread id) it asks about; [`own_pid`] is this process,
//! [`own_tid`] the calling thread.
//!
//! All errors are those of opening or reading a file below `/proc`: the process or thread is gone,
//! or the kernel does not let the caller look.

use crate::until;
use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// The id of this process.
pub fn own_pid() -> i32 {
    std::process::id() as i32
}

/// The kernel's id of the calling thread; in the main thread it equals the process id.
pub fn own_tid() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// The size of the whole address space (VmSize).
pub fn vm_size(pid: i32) -> Result<Bytes> {
    kib(&status_field(&format!("/proc/{pid}/status"), "VmSize")?)
}

/// The memory in use (VmRSS); what processes share counts for each of them.
pub fn resident(pid: i32) -> Result<Bytes> {
    kib(&status_field(&format!("/proc/{pid}/status"), "VmRSS")?)
}

/// The most memory that was ever in use (VmHWM, the high water mark).
pub fn peak(pid: i32) -> Result<Bytes> {
    kib(&status_field(&format!("/proc/{pid}/status"), "VmHWM")?)
}

/// The memory in use (Pss of smaps_rollup); what processes share is divided among them.
pub fn proportional(pid: i32) -> Result<Bytes> {
    kib(&status_field(&format!("/proc/{pid}/smaps_rollup"), "Pss")?)
}

/// How many threads the process has, those that have ended but were the leader included.
pub fn threads(pid: i32) -> Result<usize> {
    Ok(status_field(&format!("/proc/{pid}/status"), "Threads")?.parse()?)
}

/// The ids of all threads of the process.
pub fn tids(pid: i32) -> Result<Vec<i32>> {
    numbers(&format!("/proc/{pid}/task"))
}

/// The ids of all processes that can be seen from here.
pub fn pids() -> Result<Vec<i32>> {
    numbers("/proc")
}

/// The children of a process, their children, and so on. A process that changes its parent
/// meanwhile may be missed or named twice.
pub fn descendants(pid: i32) -> Result<Vec<i32>> {
    let mut all = Vec::new();
    for tid in tids(pid)? {
        let path = format!("/proc/{pid}/task/{tid}/children");
        // The thread may have ended since it was listed.
        for child in read(&path).unwrap_or_default().split_whitespace() {
            let child = child.parse()?;
            all.push(child);
            all.extend(descendants(child).unwrap_or_default());
        }
    }
    Ok(all)
}

/// The descriptors that a thread can use, in order, each with what it leads to: a path, or for
/// instance `socket:[4711]`. One that is closed meanwhile is not among them.
pub fn descriptors(pid: i32, tid: i32) -> Result<Vec<(i32, String)>> {
    let folder = format!("/proc/{pid}/task/{tid}/fd");
    let target = |fd| {
        let link = std::fs::read_link(format!("{folder}/{fd}")).ok()?;
        Some((fd, link.to_string_lossy().into_owned()))
    };
    Ok(numbers(&folder)?.into_iter().filter_map(target).collect())
}

/// The name of a thread, at most 15 bytes (pthread_setname_np(3)); by default the program's.
pub fn thread_name(pid: i32, tid: i32) -> Result<String> {
    Ok(read(&format!("/proc/{pid}/task/{tid}/comm"))?.trim_end().to_owned())
}

/// The state letter of a thread: R running, S sleeping, Z zombie, T stopped, t traced, …
pub fn state(pid: i32, tid: i32) -> Result<char> {
    Ok(thread_status(pid, tid)?.state)
}

/// How often the thread has left the processor, of its own will or not. If this has not changed
/// between two looks that both saw it asleep, it slept all the time between them.
pub fn switches(pid: i32, tid: i32) -> Result<u64> {
    Ok(thread_status(pid, tid)?.switches)
}

/// What the kernel says of a thread at one moment: see [`state`] and [`switches`].
pub struct ThreadStatus {
    pub state: char,
    pub switches: u64,
}

/// Both at once.
pub fn thread_status(pid: i32, tid: i32) -> Result<ThreadStatus> {
    let status = Status::of(&format!("/proc/{pid}/task/{tid}/status"))?;
    let state = status.get("State")?.chars().next().context("no state")?;
    let voluntary: u64 = status.get("voluntary_ctxt_switches")?.parse()?;
    let forced: u64 = status.get("nonvoluntary_ctxt_switches")?.parse()?;
    Ok(ThreadStatus { state, switches: voluntary + forced })
}

/// How often the thread has left the processor of its own will: to wait for something.
pub fn sleeps(pid: i32, tid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/task/{tid}/status");
    Ok(status_field(&path, "voluntary_ctxt_switches")?.parse()?)
}

/// The memory in use that is no file's: stack, heap and the like (Anonymous of smaps_rollup, which is
/// counted at this moment; the counters of `status` lag behind).
pub fn anonymous(pid: i32) -> Result<Bytes> {
    kib(&status_field(&format!("/proc/{pid}/smaps_rollup"), "Anonymous")?)
}

/// The processor time that all threads of the process have used, its ended ones included.
pub fn cpu_time(pid: i32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = read(&path)?;
    // The second field is the name in brackets, which may itself hold spaces and brackets.
    let fields = text.rsplit_once(')').with_context(|| path.clone())?.1;
    let mut times = fields.split_whitespace().skip(11);
    let mut ticks =
        || -> Result<u64> { Ok(times.next().context("too short")?.parse()?) };
    let used = ticks()? + ticks()?;
    let per_second =
        nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_millis(used * 1000 / per_second as u64))
}

/// The system call that a thread is blocked in, with its arguments; none while it runs.
pub fn syscall(pid: i32, tid: i32) -> Result<Option<Syscall>> {
    let text = read(&format!("/proc/{pid}/task/{tid}/syscall"))?;
    let mut words = text.split_whitespace();
    // "running", or -1 for a thread that waits outside of a system call.
    let Some(number) =
        words.next().and_then(|word| word.parse().ok()).filter(|&n| n >= 0)
    else {
        return Ok(None);
    };
    let mut args = [0; 6];
    for (arg, word) in args.iter_mut().zip(words) {
        *arg = u64::from_str_radix(word.trim_start_matches("0x"), 16)?;
    }
    Ok(Some(Syscall { number, args }))
}

/// The numbers of epoll_wait(2) and poll(2), as the C library calls them: newer processors have only
/// the calls that also take a set of signals.
#[cfg(target_arch = "x86_64")]
pub const EPOLL_WAIT: i64 = libc::SYS_epoll_wait;
#[cfg(not(target_arch = "x86_64"))]
pub const EPOLL_WAIT: i64 = libc::SYS_epoll_pwait;
#[cfg(target_arch = "x86_64")]
pub const POLL: i64 = libc::SYS_poll;
#[cfg(not(target_arch = "x86_64"))]
pub const POLL: i64 = libc::SYS_ppoll;

/// The numbers of select(2): C libraries differ in which one they call.
#[cfg(target_arch = "x86_64")]
pub const SELECT: &[i64] = &[libc::SYS_select, libc::SYS_pselect6];
#[cfg(not(target_arch = "x86_64"))]
pub const SELECT: &[i64] = &[libc::SYS_pselect6];

/// A set of select(2): the number of its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Read = 1,
    Write = 2,
    Urgent = 3,
}

/// The descriptors in one of the sets for which the main thread of a process waits in select(2), as
/// they stand in its memory. Waits until it waits.
pub fn selected(pid: i32, set: Set) -> Result<Vec<i32>> {
    let mut address = 0;
    until("it is in select(2)", || {
        let call = syscall(pid, pid)?.filter(|call| SELECT.contains(&call.number));
        address = call.map_or(0, |call| call.args[set as usize]);
        Ok(call.is_some())
    })?;
    // A null pointer is the empty set.
    let mut bits = [0; libc::FD_SETSIZE / 8];
    if address != 0 {
        let path = format!("/proc/{pid}/mem");
        let memory = File::open(&path).with_context(|| path.clone())?;
        memory.read_exact_at(&mut bits, address).context(path)?;
    }
    let holds = |&fd: &usize| bits[fd / 8] >> (fd % 8) & 1 == 1;
    Ok((0..libc::FD_SETSIZE).filter(holds).map(|fd| fd as i32).collect())
}

/// Allows this process, and those that it starts, so many descriptors, or as many as it may have if
/// these are fewer; how many that are.
pub fn may_open(descriptors: usize) -> Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = hard.min(descriptors as u64);
    setrlimit(Resource::RLIMIT_NOFILE, most, hard)?;
    Ok(most as usize)
}

/// A descriptor that an epoll watches, as the kernel has it on its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    pub fd: i32,
    /// EPOLLIN, EPOLLOUT and so on, as epoll_ctl(2) was given them.
    pub flags: u32,
}

/// What an epoll watches, by the number of its descriptor (fdinfo of proc_pid_fdinfo(5)).
pub fn watched(pid: i32, epoll: i32) -> Result<Vec<Watched>> {
    let mut all = Vec::new();
    for line in read(&format!("/proc/{pid}/fdinfo/{epoll}"))?.lines() {
        // tfd:        5 events: 80000001 data: …
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["tfd:", fd, "events:", flags, ..] = words[..] {
            let flags = u32::from_str_radix(flags, 16)?;
            all.push(Watched { fd: fd.parse()?, flags });
        }
    }
    Ok(all)
}

/// The other threads of this process that are blocked in the system call `number`
/// (`libc::SYS_…`). A thread that ends meanwhile is not among them.
pub fn blocked_in(number: i64) -> Result<Vec<i32>> {
    let blocked = |tid| {
        syscall(own_pid(), tid)
            .ok()
            .flatten()
            .is_some_and(|call| call.number == number)
    };
    // The caller would see itself in read(2), reading this very file.
    let others = tids(own_pid())?.into_iter().filter(|&tid| tid != own_tid());
    Ok(others.filter(|&tid| blocked(tid)).collect())
}

/// The threads of this process that sleep in futex(2) on a word of `object`: a lock, a semaphore,
/// a condition variable. A thread that ends meanwhile is not among them.
pub fn asleep_on<T>(object: &T) -> Result<Vec<i32>> {
    let start = std::ptr::from_ref(object) as u64;
    let words = start..start + size_of::<T>() as u64;
    let waits = |tid| {
        syscall(own_pid(), tid).ok().flatten().is_some_and(|call| {
            call.number == libc::SYS_futex && words.contains(&call.args[0])
        })
    };
    Ok(tids(own_pid())?.into_iter().filter(|&tid| waits(tid)).collect())
}

/// What is mapped at an address: `[stack]`, `[heap]`, a file's name without its folder, or nothing
/// for memory that has no name.
pub fn mapping<T>(pid: i32, address: *const T) -> Result<String> {
    let text = read(&format!("/proc/{pid}/maps"))?;
    let wanted = address.addr();
    for line in text.lines() {
        // start-end, permissions, offset, device, inode, name
        let (range, rest) =
            line.split_once(' ').context("a line without a range")?;
        let (start, end) =
            range.split_once('-').context("a range without an end")?;
        if (usize::from_str_radix(start, 16)?..usize::from_str_radix(end, 16)?)
            .contains(&wanted)
        {
            let name = rest.split_whitespace().nth(4).unwrap_or_default();
            return Ok(name.rsplit('/').next().unwrap_or_default().to_owned());
        }
    }
    anyhow::bail!("nothing is mapped at {wanted:#x}")
}

/// A system call in progress: its number (`libc::SYS_…`) and its six arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall {
    pub number: i64,
    pub args: [u64; 6],
}

/// A number of bytes, shown with the largest binary unit that keeps it readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            0..1024 => write!(f, "{} bytes", self.0),
            1024..1_048_576 => write!(f, "{} KiB", self.0 / 1024),
            _ => write!(f, "{} MiB", self.0 / 1_048_576),
        }
    }
}

/// The memory that is the process's own or that it shares, and how many threads it has, at one
/// moment. What is mapped from files (executables, libraries) is not counted.
pub fn in_use(pid: i32) -> Result<(Bytes, usize)> {
    let mut status = Status::of(&format!("/proc/{pid}/status"))?;
    let threads = status.get("Threads")?.parse()?;
    // A main thread that has ended before the others has no memory any more.
    if status.get("RssAnon").is_err() {
        let tid = tids(pid)?.pop().context("no thread")?;
        status = Status::of(&format!("/proc/{pid}/task/{tid}/status"))?;
    }
    let bytes = |name| status.get(name).and_then(kib).map_or(0, |bytes| bytes.0);
    Ok((Bytes(bytes("RssAnon") + bytes("RssShmem")), threads))
}

/// A `status` file, or another one that consists of names and values.
struct Status {
    text: String,
}

impl Status {
    fn of(path: &str) -> Result<Status> {
        Ok(Status { text: read(path)? })
    }

    fn get(&self, name: &str) -> Result<&str> {
        let mut lines = self.text.lines();
        let value =
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("there is no line {name}"))?.trim())
    }
}

/// The value of one line of a `status` file, for instance `State` of `/proc/self/status`.
pub fn status_field(path: &str, name: &str) -> Result<String> {
    let status = Status::of(path)?;
    Ok(status.get(name).with_context(|| path.to_owned())?.to_owned())
}

/// A size as `/proc` writes it, for instance `1024 kB`.
fn kib(text: &str) -> Result<Bytes> {
    Ok(Bytes(text.trim_end_matches(" kB").parse::<u64>()? * 1024))
}

/// The entries of a folder of `/proc` that are numbers, in order.
fn numbers(path: &str) -> Result<Vec<i32>> {
    let entries = std::fs::read_dir(path).with_context(|| path.to_owned())?;
    let mut numbers: Vec<i32> = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn read(path: &str) -> Result<String> {
    whole(path, 4096).with_context(|| path.to_owned())
}

/// Reads a whole file of `/proc`, with room for so many bytes. The kernel says that their size is 0,
/// and `fs::read_to_string` then begins with 32 bytes; with a page most of them take one call of
/// read(2), and one for the end.
pub(crate) fn whole(path: &str, room: usize) -> io::Result<String> {
    let mut text = String::with_capacity(room);
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}
