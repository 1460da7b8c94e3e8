//! Which end, and when does it end?
//!
//! A pipe is a buffer in the kernel: one end to write into, one to read from. Nobody
//! sends its end of file. It is there when nobody is left who could write.
//! Predict: a child reads to the end. Main closes its write end. Does the child end?
//! Neighbours: 13_fork, 21_dialogue.

use lessons::proc::{self, Syscall};
use lessons::{observe, prove, step, until};
use libc::{PIPE_BUF, SYS_read};
use nix::errno::Errno::{EAGAIN, EBADF, EPIPE};
use nix::fcntl::{FcntlArg::F_GETPIPE_SZ, OFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal::{SIGKILL, SIGPIPE};
use nix::sys::signal::{SigHandler::SigDfl, kill, signal};
use nix::sys::wait::{WaitStatus::Exited, WaitStatus::Signaled, waitpid};
use nix::unistd::{ForkResult, Pid, SysconfVar::PAGE_SIZE, sysconf};
use nix::unistd::{close, fork, pipe, pipe2, read, write};
use std::fs::read_link;
use std::os::fd::{AsRawFd, OwnedFd};

fn main() -> anyhow::Result<()> {
    lessons::open("Which end, and when does it end?");

    step("pipe(2) gives two descriptors. Each is used the wrong way round.");
    let (reader, writer) = pipe()?;
    let ends = [&reader, &writer].map(|end| open_file(Pid::this(), end));
    observe("the read end is", &ends[0]);
    observe("the write end is", &ends[1]);
    let wrong = [write(&reader, b"?"), read(&writer, &mut [0])];
    observe("write(2) into the read end", format!("{:?}", wrong[0]));
    observe("read(2) from the write end", format!("{:?}", wrong[1]));
    prove("one pipe, and it goes one way", wrong == [Err(EBADF); 2])?;

    step("Five bytes. A child reads on and on. Main closes its write end.");
    write(&writer, b"hello")?;
    let child = in_child(|| count_to_the_end(&reader))?;
    let kept = open_file(child, &writer);
    drop(writer);
    wants_more(child, &reader)?;
    kill(child, SIGKILL)?;
    waitpid(child, None)?;
    observe("the child still holds", &kept);
    observe("the child", "sleeps in read(2)");
    prove("it waits for a writer, and is the last one", kept == ends[0])?;

    step("Another child closes its copy. Main keeps its write end, then closes it.");
    let (reader, writer) = pipe()?;
    write(&writer, b"hello")?;
    let child = in_child(|| {
        let _ = close(writer.as_raw_fd());
        count_to_the_end(&reader)
    })?;
    wants_more(child, &reader)?;
    observe("at first the child", "sleeps in read(2)");
    drop(writer);
    let end = waitpid(child, None)?;
    observe("then, with what it counted", format!("{end:?}"));
    prove("it ends when the last writer has closed", end == Exited(child, 5))?;

    step("Main and a child write. Nobody is left who could read.");
    let (reader, writer) = pipe()?;
    drop(reader);
    let refused = write(&writer, b"?");
    let child = in_child(|| {
        // SAFETY: it sets no handler.
        let _ = unsafe { signal(SIGPIPE, SigDfl) };
        write(&writer, b"?").map_or(1, |_| 0)
    })?;
    let end = waitpid(child, None)?;
    observe("main, which ignores SIGPIPE", format!("{refused:?}"));
    observe("the child, which does not", format!("{end:?}"));
    let killed = end == Signaled(child, SIGPIPE, false);
    prove("refused, or ended by it", killed && refused == Err(EPIPE))?;

    step("Nobody reads. How much goes in? (EAGAIN: without O_NONBLOCK, it sleeps.)");
    let (reader, writer) = pipe2(OFlag::O_NONBLOCK)?;
    let mut inside = 0;
    while let Ok(written) = write(&writer, &[0; 512]) {
        inside += written;
    }
    let size = fcntl(&writer, F_GETPIPE_SZ)? as usize;
    observe("bytes written, F_GETPIPE_SZ", format!("{inside}, {size}"));
    prove("it holds so much and no more", inside == size)?;

    step("A page is read. All but 100 bytes of it are filled again.");
    let page = sysconf(PAGE_SIZE)?.unwrap_or(4096) as usize;
    read(&reader, &mut vec![0; page])?;
    write(&writer, &vec![0; page - 100])?;
    let small = write(&writer, &[0; PIPE_BUF]);
    let large = write(&writer, &vec![0; page + 100]);
    observe("write(2) of PIPE_BUF, 4096", format!("{small:?}"));
    observe("write(2) of a page and 100", format!("{large:?}"));
    prove("up to PIPE_BUF: the whole or nothing", small == Err(EAGAIN))?;
    prove("beyond: a part now, the rest whenever", large == Ok(100))
}

/// Starts a child that does `work` and ends with its result.
fn in_child(work: impl FnOnce() -> i32) -> anyhow::Result<Pid> {
    // SAFETY: this process has one thread, so the child may do what it likes.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok(child);
    }
    // Should the lesson fail, its child does not wait for ever.
    let _ = set_pdeathsig(SIGKILL);
    // SAFETY: it ends the child, and nothing in it is to be cleaned up.
    unsafe { libc::_exit(work()) }
}

/// read(2) until it returns 0, the end of file.
fn count_to_the_end(reader: &OwnedFd) -> i32 {
    let mut count = 0;
    while let Ok(bytes @ 1..) = read(reader, &mut [0; 16]) {
        count += bytes as i32;
    }
    count
}

/// Five bytes were there before the child: if it sleeps in read(2), it wants more.
fn wants_more(child: Pid, reader: &OwnedFd) -> anyhow::Result<()> {
    let (pid, fd) = (child.as_raw(), reader.as_raw_fd() as u64);
    let in_read = |call: Syscall| (call.number, call.args[0]) == (SYS_read, fd);
    until("it sleeps", || Ok(proc::syscall(pid, pid)?.is_some_and(in_read)))
}

/// What a process has open under this descriptor's number.
fn open_file(pid: Pid, end: &OwnedFd) -> String {
    let link = read_link(format!("/proc/{pid}/fd/{}", end.as_raw_fd()));
    link.unwrap_or_default().display().to_string()
}
