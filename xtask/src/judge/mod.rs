//! The judge: `judge(exercise, program) -> Verdict`, for learners, tests and graders alike.
//!
//! Each case of the exercise is played in a cage of its own ([`crate::cage`]), all of them at once;
//! the verdict is that of the first case, in the exercise's order, that does not pass.

mod verdict;

pub use verdict::{Finding, Status, Verdict};

use crate::cage::{Job, Mode, Report};
use crate::exercises::{Case, Exercise};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A program to judge.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub plain: PathBuf,
    /// The same source built for exploring interleavings, where the exercise asks for it.
    pub explored: Option<PathBuf>,
}

/// How to judge.
#[derive(Clone, Debug)]
pub struct Options {
    /// The executable that plays the role `cage`: this workbook's xtask.
    pub xtask: PathBuf,
    /// The sandbox to use; none chooses the best that this machine allows.
    pub mode: Option<Mode>,
    /// How long one case may take.
    pub deadline: Duration,
}

impl Options {
    pub fn new(mode: Option<Mode>) -> Result<Options> {
        let xtask = std::env::current_exe().context("where is this program?")?;
        Ok(Options { xtask, mode, deadline: Duration::from_secs(10) })
    }
}

/// A verdict, and the reason if a lesser sandbox than the best was used.
pub struct Judged {
    pub verdict: Verdict,
    pub fell_back: Option<String>,
}

/// Judges one program.
pub fn judge(exercise: &Exercise, program: &Program, options: &Options) -> Judged {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let reports: Vec<_> =
        exercise.cases.iter().map(|_| std::sync::OnceLock::new()).collect();
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get()) + 1;
    std::thread::scope(|scope| {
        for _ in 0..workers.min(exercise.cases.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = exercise.cases.get(index) else { break };
                    let _ =
                        reports[index].set(play(exercise, case, program, options));
                }
            });
        }
    });
    let mut fell_back = None;
    let mut verdict = Verdict {
        exercise: exercise.name.to_owned(),
        status: Status::Passed,
        findings: Vec::new(),
        seconds: 0.0,
    };
    for played in reports.into_iter().filter_map(std::sync::OnceLock::into_inner) {
        fell_back = fell_back.or(played.fell_back);
        match played.report {
            _ if verdict.status != Status::Passed => {}
            Report::Passed => {}
            Report::Failed(status, finding) => {
                verdict.status = status;
                verdict.findings.push(finding);
            }
            Report::Unavailable(why) => {
                verdict.status = Status::Cannot;
                verdict.findings.push(cannot(why));
            }
        }
    }
    verdict.seconds = start.elapsed().as_secs_f64();
    Judged { verdict, fell_back }
}

struct Played {
    report: Report,
    fell_back: Option<String>,
}

/// Plays one case in the best sandbox that is allowed.
fn play(
    exercise: &Exercise,
    case: &Case,
    program: &Program,
    options: &Options,
) -> Played {
    let run = |mode| {
        run_in_cage(exercise, case, program, options, mode)
            .unwrap_or_else(|e| Report::Unavailable(format!("{e:#}")))
    };
    let report = run(options.mode.unwrap_or(Mode::Namespaces));
    match report {
        Report::Unavailable(why) if options.mode.is_none() => {
            Played { report: run(Mode::Process), fell_back: Some(why) }
        }
        report => Played { report, fell_back: None },
    }
}

fn run_in_cage(
    exercise: &Exercise,
    case: &Case,
    program: &Program,
    options: &Options,
    mode: Mode,
) -> Result<Report> {
    let path = match case.explored {
        false => &program.plain,
        true => program
            .explored
            .as_ref()
            .context("not built for exploring interleavings")?,
    };
    let folder = match mode {
        Mode::Namespaces => None,
        Mode::Process => Some(Folder::new()?),
    };
    let job = Job {
        exercise: exercise.name.to_owned(),
        case: case.name.to_owned(),
        program: path.clone(),
        mode,
        deadline: options.deadline,
        folder: folder.as_ref().map(|folder| folder.path.clone()),
    };
    let mut keeper = Command::new(&options.xtask)
        .arg("cage")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", options.xtask.display()))?;
    if let Some(mut stdin) = keeper.stdin.take() {
        stdin.write_all(job.to_json().to_string().as_bytes())?;
    }
    let mut text = String::new();
    if let Some(mut stdout) = keeper.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    let output = keeper.wait_with_output()?;
    if text.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the sandbox ended without a report ({}): {}",
            output.status,
            said.trim()
        );
    }
    Report::from_json(&text.parse()?)
        .context("the sandbox gave an unreadable report")
}

fn cannot(why: String) -> Finding {
    Finding {
        name: "this-machine-cannot".into(),
        expected: "a machine that can run a program under observation".into(),
        seen: why,
        why: "Nothing was found out about the program.".into(),
        lesson: "01_create".into(),
    }
}

/// A working folder that is gone when it is dropped, whatever the program put there.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Folder> {
        let mut path = std::env::temp_dir().join("workbook-XXXXXX");
        path = nix::unistd::mkdtemp(&path).context("a working folder")?;
        // As root the program runs as another user, which must be able to write here.
        std::fs::set_permissions(
            &path,
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        open_up(&self.path);
        if let Err(e) = std::fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {e}", self.path.display());
        }
    }
}

/// Gives back the right to empty a folder, in case the program took it; follows no link.
fn open_up(folder: &Path) {
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let _ = std::fs::set_permissions(folder, all);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
