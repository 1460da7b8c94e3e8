//! Where namespaces are not allowed: a session, a subreaper, and an end to everything by hand.
//!
//! What this does not protect from: the program sees the user's files and the network, and shares
//! ports with everybody.

use super::namespaces::Executable;
use super::{Job, Report, keeper, limits};
use anyhow::{Context, Result};
use lessons::proc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

pub fn play(job: &Job, program: OwnedFd) -> Result<Report> {
    let folder = job.folder.as_deref().context("no working folder")?;
    std::env::set_current_dir(folder).context("enter the working folder")?;
    // Whatever loses its parent becomes a child of this process (prctl(2)).
    prctl::set_child_subreaper(true)?;
    limit_tasks()?;
    let executable =
        Executable { path: keeper::path_of(&program), _open: Some(program) };
    let report = keeper::play(job, executable);
    end_all_descendants();
    Ok(report)
}

/// The limit counts all processes of this user, so it stands above those that are there.
fn limit_tasks() -> Result<()> {
    let uid = nix::unistd::Uid::current().as_raw();
    let mut there = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        if entry.metadata().is_ok_and(|data| data.uid() == uid) {
            there += proc::threads(pid).unwrap_or(0) as u64;
        }
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
    let limit = (there + limits::TASKS).min(hard);
    setrlimit(Resource::RLIMIT_NPROC, limit, limit).context("RLIMIT_NPROC")
}

/// Stops all descendants until no new one turns up, so that none can fork while they are killed.
fn end_all_descendants() {
    let mut stopped = Vec::new();
    loop {
        let all = proc::descendants(proc::own_pid()).unwrap_or_default();
        let new: Vec<i32> =
            all.into_iter().filter(|pid| !stopped.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            stopped.push(pid);
        }
    }
    loop {
        for pid in proc::descendants(proc::own_pid()).unwrap_or_default() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::StillAlive | _) => {}
            Err(_) => break,
        }
    }
}
