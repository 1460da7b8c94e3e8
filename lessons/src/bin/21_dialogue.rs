//! One pipe or two?
//!
//! A pipe has one buffer. Whoever reads first takes what is in it, be it the process
//! that wrote it. A dialogue needs two directions: two pipes, or a socketpair.
//! Predict: main asks through a pipe and reads the answer from it. Which one?
//! Neighbours: 20_pipe, 24_ipc.

use lessons::proc::{self, Syscall};
use lessons::{observe, prove, step, until};
use libc::{SYS_read, SYS_write};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal::SIGKILL, kill};
use nix::sys::socket::{AddressFamily::Unix, SockFlag, SockType::Stream};
use nix::sys::socket::{Shutdown, shutdown, socketpair};
use nix::sys::wait::{WaitStatus::Exited, waitpid};
use nix::unistd::{ForkResult, Pid, close, fork, pipe, read, write};
use std::os::fd::{AsRawFd, OwnedFd};

fn main() -> anyhow::Result<()> {
    lessons::open("One pipe or two?");

    step("One pipe. Main asks, and reads at once. The child comes a moment later.");
    let (reader, writer) = pipe()?;
    let answer = ask(&writer, &reader, 1);
    let child = in_child(|| next(&reader).into())?;
    let asleep = asleep_in(SYS_read, &[(child, &reader)])?;
    observe("main asks 1 and reads", answer);
    observe("children asleep in read(2)", asleep);
    prove("main has read its own question", answer == 1)?;

    step("One pipe. The child adds 1 and reads on, three times. Main only asks.");
    let (reader, writer) = pipe()?;
    let child = in_child(|| {
        for _ in 0..3 {
            let _ = write(&writer, &[next(&reader) + 1]);
        }
        next(&reader).into()
    })?;
    write(&writer, &[1])?;
    let last = waitpid(child, None)?;
    observe("the child, its last number", format!("{last:?}"));
    prove("the child has answered its own answers", last == Exited(child, 4))?;

    step("Two pipes. Main closes the questions when it has asked enough.");
    let ((hears, asks), (reads, says)) = (pipe()?, pipe()?);
    let child = in_child(|| {
        // Its copies of main's ends: with them it would never see the end.
        let _ = (close(asks.as_raw_fd()), close(reads.as_raw_fd()));
        adds_ten(&hears, &says)
    })?;
    drop((hears, says));
    let answers = [1, 2, 3].map(|number| ask(&asks, &reads, number));
    drop(asks);
    let rest = [next(&reads), next(&reads)];
    waitpid(child, None)?;
    observe("to 1, 2, 3, end: main reads", format!("{answers:?}, {rest:?}"));
    prove("each direction has a buffer of its own", answers == [11, 12, 13])?;
    prove("one ended, in the other a last word still came", rest == [10, 0])?;

    step("socketpair(2). Main shuts down its direction: shutdown(2), not close(2).");
    let (mine, its) = socketpair(Unix, Stream, None, SockFlag::empty())?;
    let child = in_child(|| {
        let _ = close(mine.as_raw_fd());
        adds_ten(&its, &its)
    })?;
    drop(its);
    let answers = [1, 2, 3].map(|number| ask(&mine, &mine, number));
    shutdown(mine.as_raw_fd(), Shutdown::Write)?;
    let rest = [next(&mine), next(&mine)];
    waitpid(child, None)?;
    observe("to 1, 2, 3, end: main reads", format!("{answers:?}, {rest:?}"));
    prove("one descriptor each, two directions", answers == [11, 12, 13])?;
    prove("they end one by one", rest == [10, 0])?;

    step("Two pipes. Two children write a mebibyte each, and only then read.");
    let (one, two) = (pipe()?, pipe()?);
    let talks_first = |says: &OwnedFd, hears: &OwnedFd| {
        write(says, &vec![1; 1 << 20]).map_or(1, |_| next(hears).into())
    };
    let child = in_child(|| talks_first(&one.1, &two.0))?;
    let other = in_child(|| talks_first(&two.1, &one.0))?;
    let asleep = asleep_in(SYS_write, &[(child, &one.1), (other, &two.1)])?;
    observe("asleep in write(2)", asleep);
    prove("both pipes are full: each waits until the other reads", asleep == 2)
}

/// The other side: it adds 10 to each number, and to the end of file (0) too.
fn adds_ten(hears: &OwnedFd, says: &OwnedFd) -> i32 {
    let mut number = 1;
    while number != 0 {
        number = next(hears);
        let _ = write(says, &[number + 10]);
    }
    0
}

fn ask(asks: &OwnedFd, reads: &OwnedFd, number: u8) -> u8 {
    write(asks, &[number]).map_or(0, |_| next(reads))
}

/// One byte. At the end of file, where read(2) returns 0 and leaves it alone: 0.
fn next(from: &OwnedFd) -> u8 {
    let mut byte = [0];
    read(from, &mut byte).map_or(0, |_| byte[0])
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

/// Waits until all sleep in this call on these descriptors. Then it ends them.
fn asleep_in(call: i64, children: &[(Pid, &OwnedFd)]) -> anyhow::Result<usize> {
    for (pid, fd) in children.iter().map(|c| (c.0.as_raw(), c.1.as_raw_fd())) {
        let here = |c: Syscall| (c.number, c.args[0]) == (call, fd as u64);
        until("it sleeps", || Ok(proc::syscall(pid, pid)?.is_some_and(here)))?;
    }
    for (child, _) in children {
        kill(*child, SIGKILL)?;
        waitpid(*child, None)?;
    }
    Ok(children.len())
}
