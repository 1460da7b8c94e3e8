//! Where namespaces are not allowed: a session, a subreaper, Landlock where the
//! kernel has it, and an end to everything by hand.
//!
//! What this does not protect from: the program sees the network and the processes
//! of this machine, and shares ports with everybody. It may use more disk for a
//! moment than it should. Without Landlock it also sees the user's files and may
//! send signals to the user's other processes.

use super::landlock::{self, Reach};
use super::namespaces::{DEVICES, Executable, VISIBLE};
use super::{Job, keeper, limits};
use anyhow::{Context, Result};
use lessons::proc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{AccessFlags, Pid, access};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A copy of the actor in the working folder, where one is needed.
pub const ACTOR: &str = ".actor";

/// How the keeper ends what the program has started.
pub enum End {
    /// A signal to everybody reaches this process's descendants only.
    AtOnce,
    OneByOne,
}

/// Makes this process, the keeper, the one that answers for all that comes.
pub fn enter() -> Result<End> {
    // Whatever loses its parent becomes a child of this process (prctl(2)).
    prctl::set_child_subreaper(true)?;
    limit_tasks()?;
    // The program runs as the same user and must not look into this process.
    prctl::set_dumpable(false)?;
    // If the judge is killed there is still something to do here; its pipe tells.
    prctl::set_pdeathsig(None)?;
    Ok(landlock::keep_signals_in().map_or(End::OneByOne, |()| End::AtOnce))
}

/// Prepares the director's place.
pub fn furnish(
    job: &Job,
    program: OwnedFd,
    actor: OwnedFd,
) -> Result<(Executable, Executable)> {
    let folder = job.folder.as_deref().context("no working folder")?;
    std::env::set_current_dir(folder).context("enter the working folder")?;
    // The case looks for the program's processes among the descendants of its own.
    prctl::set_child_subreaper(true)?;
    let actor = Executable { path: path_of_actor(&actor)?, _open: None };
    let program =
        Executable { path: keeper::path_of(&program), _open: Some(program) };
    Ok((program, actor))
}

/// The program's children cannot get at the descriptors of this process. If they
/// cannot execute the file itself either they get a copy.
fn path_of_actor(actor: &OwnedFd) -> Result<PathBuf> {
    let path = fs::read_link("/proc/self/exe")?;
    if access(&path, AccessFlags::X_OK).is_ok() {
        return Ok(path);
    }
    let copy = std::env::current_dir()?.join(ACTOR);
    fs::copy(format!("/proc/self/fd/{}", actor.as_raw_fd()), &copy)
        .context("copy the actor")?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

/// What the program may reach: the same as in a world of its own, as far as files
/// go.
pub fn reach(executables: &[&Path]) -> Result<Reach> {
    let reach = Reach::new()?;
    for folder in VISIBLE {
        reach.read_and_execute(&Path::new("/").join(folder))?;
    }
    reach.read_and_execute(Path::new("/proc"))?;
    for device in DEVICES {
        reach.read_and_write(&Path::new("/dev").join(device))?;
    }
    for executable in executables {
        reach.read_and_execute(executable)?;
    }
    reach.everything(&std::env::current_dir()?)?;
    Ok(reach)
}

/// The limit counts all processes of this user, so it stands above those that are
/// there, and above those that other cases, which are played at the same time, may
/// start meanwhile.
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
    let limit = (there + 4 * limits::TASKS).min(hard);
    setrlimit(Resource::RLIMIT_NPROC, limit, limit).context("RLIMIT_NPROC")
}

impl End {
    /// Returns when all descendants of this process have ended.
    pub fn everything(self) {
        match self {
            End::AtOnce => {
                // The kernel does it in one step: no process can fork in between.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                while waitpid(None, None).is_ok() {}
            }
            End::OneByOne => {
                stop_all_descendants();
                loop {
                    for pid in proc::descendants(proc::own_pid()).unwrap_or_default()
                    {
                        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                    }
                    if waitpid(None, None).is_err() {
                        break;
                    }
                }
            }
        }
    }
}

/// Until no new one turns up, so that none can fork while they are killed.
fn stop_all_descendants() {
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
}
