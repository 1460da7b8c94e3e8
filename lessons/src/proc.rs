//! What the kernel says of processes and threads, read from `/proc` (proc(5)).
//!
//! Every function takes the process id (and thread id) it asks about; [`own_pid`] is this process,
//! [`own_tid`] the calling thread.
//!
//! All errors are those of opening or reading a file below `/proc`: the process or thread is gone,
//! or the kernel does not let the caller look.

use anyhow::{Context, Result};
use std::fmt;

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
    let text = status_field(&format!("/proc/{pid}/status"), "VmSize")?;
    let kib = text.trim_end_matches(" kB").parse::<u64>()?;
    Ok(Bytes(kib * 1024))
}

/// How many threads the process has, those that have ended but were the leader included.
pub fn threads(pid: i32) -> Result<usize> {
    Ok(status_field(&format!("/proc/{pid}/status"), "Threads")?.parse()?)
}

/// The ids of all threads of the process.
pub fn tids(pid: i32) -> Result<Vec<i32>> {
    let path = format!("/proc/{pid}/task");
    let mut tids = Vec::new();
    for entry in std::fs::read_dir(&path).with_context(|| path.clone())? {
        tids.push(entry?.file_name().to_string_lossy().parse()?);
    }
    tids.sort_unstable();
    Ok(tids)
}

/// The state letter of a thread: R running, S sleeping, Z zombie, T stopped, t traced, …
pub fn state(pid: i32, tid: i32) -> Result<char> {
    let text = status_field(&format!("/proc/{pid}/task/{tid}/status"), "State")?;
    text.chars().next().context("an empty state")
}

/// How often the thread has left the processor, of its own will or not. If this has not changed
/// between two looks that both saw it asleep, it slept all the time between them.
pub fn switches(pid: i32, tid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/task/{tid}/status");
    let voluntary: u64 = status_field(&path, "voluntary_ctxt_switches")?.parse()?;
    let forced: u64 = status_field(&path, "nonvoluntary_ctxt_switches")?.parse()?;
    Ok(voluntary + forced)
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

/// The value of one line of a `status` file, for instance `State` of `/proc/self/status`.
pub fn status_field(path: &str, name: &str) -> Result<String> {
    let text = read(path)?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("{path} has no line {name}"))?
        .trim()
        .to_owned())
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.to_owned())
}
