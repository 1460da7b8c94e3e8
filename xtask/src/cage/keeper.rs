//! The keeper: what happens between the judge's call and the case's first step.

use super::{Clock, Job, Mode, Report, namespaces, process};
use crate::judge::{Finding, Status};
use crate::scene::Scene;
use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{self, umask};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult, Gid, Uid};
use std::any::Any;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Who a program runs as when the judge is root: an unprivileged user that owns nothing.
const NOBODY: u32 = 65534;

/// How long the director may take to explain itself after the deadline.
const GRACE: Duration = Duration::from_millis(700);

/// The role `cage` of this program: reads a [`Job`], plays it, prints a [`Report`].
pub fn run() -> ExitCode {
    let report = prepare().unwrap_or_else(|e| Report::Unavailable(format!("{e:#}")));
    let text = report.to_json().to_string();
    // Standard output is a pipe to the judge; if the judge has gone nobody is there to be told.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn prepare() -> Result<Report> {
    // If the judge is killed, so is everything here.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A session of its own: no terminal to type into, no signals from the learner's shell.
    unistd::setsid().context("setsid")?;
    // The judge keeps the pipe open for as long as it wants an answer.
    let mut text = String::new();
    BufReader::new(std::io::stdin()).read_line(&mut text)?;
    let job = Job::from_json(&text.parse()?).context("not a job")?;
    let program = open_executable(&job.program)?;
    let actor = open_executable(Path::new("/proc/self/exe"))?;
    if Uid::effective().is_root() {
        become_nobody()?;
    }
    match job.mode {
        Mode::Namespaces => {
            namespaces::enter()?;
            direct(&job, || namespaces::furnish(&program, &actor))
        }
        Mode::Process => {
            let end = process::enter()?;
            let report = direct(&job, || process::furnish(&job, program, actor));
            end.everything();
            if let (true, Some(folder)) = (judge_has_gone(), &job.folder) {
                let _ = crate::judge::remove(folder);
            }
            report
        }
    }
}

/// Opens a program while the rights of the judge's user still hold. An executable that others
/// may not execute is copied to memory, because `nobody` is to execute it.
fn open_executable(path: &Path) -> Result<OwnedFd> {
    let name = || format!("cannot open {}", path.display());
    let mut file = File::open(path).with_context(name)?;
    if !Uid::effective().is_root() || file.metadata()?.mode() & 0o005 == 0o005 {
        return Ok(file.into());
    }
    // SAFETY: a valid C string; the new descriptor belongs to nobody else.
    let copy = unsafe { libc::memfd_create(c"program".as_ptr(), libc::MFD_CLOEXEC) };
    let copy = nix::errno::Errno::result(copy).context("memfd_create")?;
    // SAFETY: as above.
    let mut writable = unsafe { File::from_raw_fd(copy) };
    std::io::copy(&mut file, &mut writable)?;
    // A file that is open for writing cannot be executed.
    Ok(File::open(format!("/proc/self/fd/{copy}"))?.into())
}

fn become_nobody() -> Result<()> {
    unistd::setgroups(&[]).context("setgroups")?;
    unistd::setresgid(
        Gid::from_raw(NOBODY),
        Gid::from_raw(NOBODY),
        Gid::from_raw(NOBODY),
    )
    .context("setresgid")?;
    unistd::setresuid(
        Uid::from_raw(NOBODY),
        Uid::from_raw(NOBODY),
        Uid::from_raw(NOBODY),
    )
    .context("setresuid")?;
    // Changing the user cleared both: the first lets /proc/self/uid_map be written.
    prctl::set_dumpable(true)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(())
}

/// Lets a child, the director, play the case once the place is furnished.
fn direct(
    job: &Job,
    furnish: impl FnOnce() -> Result<(namespaces::Executable, namespaces::Executable)>,
) -> Result<Report> {
    let (mut answer, to_keeper) = std::io::pipe()?;
    // SAFETY: this process has one thread.
    match unsafe { unistd::fork() }.context("fork")? {
        ForkResult::Child => {
            drop(answer);
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            let report = furnish()
                .map(|(program, actor)| {
                    // A mistake of the check must not look like one of the program.
                    catch_unwind(|| play(job, program, actor)).unwrap_or_else(broken)
                })
                .unwrap_or_else(|e| Report::Unavailable(format!("{e:#}")));
            let _ = { to_keeper }.write_all(report.to_json().to_string().as_bytes());
            // The kernel kills every process of a world whose PID 1 ends.
            std::process::exit(0)
        }
        ForkResult::Parent { child } => {
            drop(to_keeper);
            let clock = Clock::new(job.patience);
            let text = read_until_end(&mut answer, clock, job.deadline + GRACE)?;
            let _ = kill(child, Signal::SIGKILL);
            // Where it is PID 1 this returns when its whole world has gone.
            waitpid(child, None).context("waitpid")?;
            if text.is_empty() {
                return Ok(silent(job));
            }
            Report::from_json(&text.parse()?).context("not a report")
        }
    }
}

/// The judge's end of standard input is closed.
fn judge_has_gone() -> bool {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// What the director wrote until it closed the pipe; nothing if that takes longer than `limit`
/// or the judge does not want to know any more.
fn read_until_end(
    pipe: &mut std::io::PipeReader,
    mut clock: Clock,
    limit: Duration,
) -> Result<String> {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let left = limit.saturating_sub(clock.time());
        let stdin = std::io::stdin();
        let mut fds = [
            PollFd::new(pipe.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        // Short, because the clock wants to be asked.
        let a_while = left.min(Duration::from_millis(100));
        let ready = poll(&mut fds, PollTimeout::try_from(a_while)?)?;
        let (answered, judge_left) =
            (fds[0].any() == Some(true), fds[1].any() == Some(true));
        if left.is_zero() || (judge_left && !answered) {
            return Ok(String::new());
        }
        if ready == 0 {
            continue;
        }
        match pipe.read(&mut buffer)? {
            0 => return Ok(String::from_utf8(text)?),
            n => text.extend_from_slice(&buffer[..n]),
        }
    }
}

/// The check has panicked.
fn broken(panic: Box<dyn Any + Send>) -> Report {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    let seen =
        format!("the check itself broke off, by a mistake of the workbook: {said}");
    Report::Failed(Status::Cannot, Finding::cannot(seen))
}

/// The director was so busy that it could not even explain a hang.
fn silent(job: &Job) -> Report {
    let finding = Finding {
        name: "hung".into(),
        expected: "the program ends".into(),
        seen: format!(
            "after {} s it still kept this machine so busy that it could not be examined",
            job.deadline.as_secs()
        ),
        why: "Something in it goes on without end: a loop, new threads or new processes.".into(),
        lesson: "12_deadlock".into(),
    };
    Report::Failed(Status::Hung, finding)
}

/// Plays the case that the job names with the program and those that play its children.
pub fn play(
    job: &Job,
    program: namespaces::Executable,
    actor: namespaces::Executable,
) -> Report {
    let Some(case) = crate::exercises::find_case(&job.exercise, &job.case) else {
        return Report::Unavailable(format!(
            "{} has no case {}",
            job.exercise, job.case
        ));
    };
    let mut scene = Scene::new(program.path, actor.path, job);
    let result = (case.play)(&mut scene);
    scene.report(result)
}

/// Prepares `command` so that the judged program starts without any right or way to reach the
/// judge: called by the scene for each start. `executables` are what it consists of.
pub fn confine(
    command: &mut Command,
    mode: Mode,
    traced: bool,
    executables: &[&Path],
) -> Result<()> {
    let filters = super::limits::filters(mode)?;
    let reach = match mode {
        Mode::Namespaces => None,
        Mode::Process => Some(process::reach(executables)?),
    };
    // SAFETY: this process has one thread, so the child may do between fork and exec what any
    // program may.
    unsafe {
        command.pre_exec(move || {
            unistd::setsid()?;
            forget_inherited()?;
            super::limits::set().map_err(std::io::Error::other)?;
            if traced {
                // Where it is not allowed the case has to do without.
                let _ = nix::sys::ptrace::traceme();
            }
            // What the judge's own caller has left open is not the program's.
            libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32);
            prctl::set_no_new_privs()?;
            if let Some(reach) = &reach {
                reach.confine().map_err(std::io::Error::other)?;
            }
            filters.iter().try_for_each(|filter| {
                seccompiler::apply_filter(filter).map_err(std::io::Error::other)
            })
        });
    }
    Ok(())
}

/// Whoever started the judge may have blocked signals, ignored some (nohup(1) does, and a shell for
/// what it starts in the background), or have set a mask for new files. exec(2) would hand all
/// that to the program.
fn forget_inherited() -> nix::Result<()> {
    SigSet::empty().thread_set_mask()?;
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL runs no code; what cannot be set (SIGKILL) is refused.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    umask(stat::Mode::from_bits_truncate(0o022));
    Ok(())
}

/// For [`Mode::Process`]: a path under which the open program can be executed.
pub fn path_of(program: &OwnedFd) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", program.as_raw_fd()).into()
}
