//! Who reaps the grandchild?
//!
//! A process whose parent ends gets a new one: its nearest living ancestor that is a
//! subreaper, or else process 1. Who forks twice leaves the waiting to that one.
//! Predict: a server forks twice and waits once. Is a zombie left for it?
//! Neighbours: 14_zombie, 18_sigchld.

use anyhow::{Context, Result};
use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno::{self, ECHILD};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{Signal::SIGKILL, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus::Exited, wait, waitpid};
use nix::unistd::{ForkResult::*, Pid, fork, getpid, pause, pipe, read, write};
use std::os::fd::OwnedFd;

fn main() -> Result<()> {
    lessons::open("Who reaps the grandchild?");
    let own = getpid();
    // The lesson plays process 1: the orphans of its own family come to it.
    set_child_subreaper(true)?;

    step("A server forks once and never waits. Its worker ends.");
    let (server, worker, gate, _) = start(forks_once)?;
    end_of_work(worker, &gate)?;
    let (first, result) = (parent(worker)?, waitpid(worker, None));
    observe("lesson, server, worker", format!("{own}, {server}, {worker}"));
    observe("parent of the zombie", first);
    observe("waitpid by the lesson", format!("{result:?}"));
    prove("only its parent can reap it", first == server && result == Err(ECHILD))?;

    step("The server ends, too.");
    kill(server, SIGKILL)?;
    waitpid(server, None)?;
    let (second, result) = (parent(worker)?, waitpid(worker, None));
    observe("parent of the zombie", second);
    observe("waitpid by the lesson", format!("{result:?}"));
    prove("the new one reaps it", second == own && result == Ok(Exited(worker, 7)))?;

    step("A server forks twice. The one between ends, and it waits for that one.");
    let (server, worker, gate, next_wait) = start(forks_twice)?;
    observe("lesson, server, worker", format!("{own}, {server}, {worker}"));
    observe("parent of the worker", parent(worker)?);
    observe("the server's next waitpid", format!("{next_wait:?}"));
    prove("the lesson is its parent now", parent(worker)? == own)?;
    prove("the server has nobody left to reap", next_wait == ECHILD)?;
    end_of_work(worker, &gate)?;
    let result = waitpid(worker, None);
    let family = proc::descendants(own.as_raw())?;
    observe("waitpid by the lesson", format!("{result:?}"));
    observe("descendants of the lesson", format!("{family:?}"));
    prove("it reaps a process it never forked", result == Ok(Exited(worker, 7)))?;
    prove("no zombie is left, only the server", family == [server.as_raw()])?;
    kill(server, SIGKILL)?;
    waitpid(server, None)?;

    step("The same, but the server is a subreaper itself. Then it ends.");
    let (server, worker, gate, _) = start(forks_twice_as_a_subreaper)?;
    let first = parent(worker)?;
    kill(server, SIGKILL)?;
    waitpid(server, None)?;
    let second = parent(worker)?;
    observe("lesson, server, worker", format!("{own}, {server}, {worker}"));
    observe("parent of the worker", format!("{first}, then {second}"));
    prove("the nearest subreaper comes first", first == server && second == own)?;
    end_of_work(worker, &gate)?;
    waitpid(worker, None)?;
    prove("nobody is left", proc::descendants(own.as_raw())?.is_empty())
}

fn forks_once(gate: &OwnedFd) {
    // SAFETY: nobody in this family has a second thread.
    if let Ok(Child) = unsafe { fork() } {
        let _ = read(gate, &mut [0]);
        exit(7);
    }
}

fn forks_twice(gate: &OwnedFd) {
    // SAFETY: as above.
    if let Ok(Child) = unsafe { fork() } {
        forks_once(gate);
        exit(0);
    }
    let _middle = wait();
}

fn forks_twice_as_a_subreaper(gate: &OwnedFd) {
    let _ = set_child_subreaper(true);
    forks_twice(gate);
}

fn exit(status: i32) -> ! {
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(status) }
}

/// A server, its worker, the worker's gate, the error of the server's next waitpid.
fn start(forks: fn(&OwnedFd)) -> Result<(Pid, Pid, OwnedFd, Errno)> {
    let ((closed, gate), (news, tell)) = (pipe()?, pipe()?);
    // SAFETY: as above.
    let Parent { child: server } = unsafe { fork() }? else {
        drop((gate, news));
        let _ends_with_me = set_pdeathsig(SIGKILL);
        forks(&closed);
        let next_wait = waitpid(None, Some(WaitPidFlag::WNOHANG));
        let _ = write(&tell, &[next_wait.map_or_else(|errno| errno as u8, |_| 0)]);
        loop {
            pause();
        }
    };
    drop(tell);
    let mut errno = [0];
    read(&news, &mut errno)?;
    let family = proc::descendants(getpid().as_raw())?;
    let worker = family.into_iter().find(|&pid| pid != server.as_raw());
    let worker = Pid::from_raw(worker.context("a worker")?);
    Ok((server, worker, gate, Errno::from_raw(errno[0].into())))
}

fn end_of_work(worker: Pid, gate: &OwnedFd) -> Result<()> {
    write(gate, b"x")?;
    let pid = worker.as_raw();
    until("the worker has ended", || Ok(proc::state(pid, pid)? == 'Z'))
}

fn parent(pid: Pid) -> Result<Pid> {
    let parent = proc::status_field(&format!("/proc/{pid}/status"), "PPid")?;
    Ok(Pid::from_raw(parent.parse()?))
}
