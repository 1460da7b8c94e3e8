//! What remains of a dead child?
//!
//! When a process ends, the kernel frees its memory and closes its descriptors at
//! once. An entry with its id and its status stays until the parent waits for it.
//! Predict: a child has ended with status 7. Then it is sent SIGKILL. Its status?
//! Neighbours: 13_fork, 15_waitpid, 18_sigchld, 19_double_fork.

use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno::ESRCH;
use nix::sys::signal::{Signal::SIGKILL, kill};
use nix::sys::wait::{WaitStatus::Exited, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::env::{args, current_exe};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

fn main() -> anyhow::Result<()> {
    if args().len() > 1 {
        return Ok(());
    }
    lessons::open("What remains of a dead child?");

    step("A child waits for a byte. It alone has the other end of a socket pair.");
    let (child, mut socket) = waiting_child()?;
    until("it waits", || Ok(status(child, "State").starts_with('S')))?;
    show(child);
    prove("it has memory", status(child, "VmRSS") != "none")?;
    prove("it has descriptors", status(child, "FDSize") != "0")?;

    step("It gets its byte and ends with status 7. Nobody waits for it.");
    socket.write_all(b"!")?;
    until("it has ended", || Ok(status(child, "State").starts_with('Z')))?;
    show(child);
    let read = socket.read(&mut [0])?;
    observe("read(2) from the socket", read);
    prove("its memory is freed", status(child, "VmRSS") == "none")?;
    let closed = status(child, "FDSize") == "0" && read == 0;
    prove("its descriptors are closed: end of file", closed)?;
    let parent = status(child, "PPid") == Pid::this().to_string();
    prove("an entry stays, and it is still our child", parent)?;

    step("It is sent SIGKILL.");
    let sent = kill(child, SIGKILL);
    observe("kill(2)", result(sent));
    show(child);
    let dead = status(child, "State").starts_with('Z');
    prove("the call succeeds, and changes nothing", sent.is_ok() && dead)?;

    step("The parent waits for it.");
    let end = waitpid(child, None)?;
    // With signal 0, kill(2) only says whether there is such a process.
    let there = kill(child, None);
    observe("waitpid(2)", format!("{end:?}"));
    observe("kill(2) of signal 0", result(there));
    prove("the status is that of its own end", end == Exited(child, 7))?;
    prove("the entry is gone", there == Err(ESRCH))?;

    step("In Rust: a child has ended, and its Child is dropped.");
    let handle = Command::new(current_exe()?).arg("end").spawn()?;
    let child = Pid::from_raw(handle.id() as i32);
    drop(handle);
    until("it has ended", || Ok(status(child, "State").starts_with('Z')))?;
    observe("State", status(child, "State"));
    let end = waitpid(child, None)?;
    observe("waitpid(2)", format!("{end:?}"));
    prove("dropping a Child waits for nobody", end == Exited(child, 0))
}

/// A child that waits for a byte from this end of the pair, and ends with status 7.
fn waiting_child() -> anyhow::Result<(Pid, UnixStream)> {
    let (ours, mut its) = UnixStream::pair()?;
    // SAFETY: this process has one thread.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok((child, ours));
    }
    drop(ours);
    let _ = its.read(&mut [0]);
    // SAFETY: it ends this process. What it still holds, the kernel cleans up.
    unsafe { libc::_exit(7) }
}

fn show(child: Pid) {
    for name in ["State", "VmRSS", "FDSize", "PPid"] {
        observe(name, status(child, name));
    }
}

/// What /proc/PID/status says after this name; `none` if it has no such line.
fn status(child: Pid, name: &str) -> String {
    let path = format!("/proc/{child}/status");
    proc::status_field(&path, name).unwrap_or_else(|_| "none".to_owned())
}

fn result(result: nix::Result<()>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "0".to_owned())
}
