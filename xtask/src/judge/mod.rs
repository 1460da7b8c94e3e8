//! The judge: `judge(exercise, program) -> Verdict`, for learners, tests and graders alike.
//!
//! Each case of the exercise is played in a cage of its own ([`crate::cage`]), all of them at once;
//! the verdict is that of the first case, in the exercise's order, that does not pass.

mod verdict;

pub use verdict::{Finding, Status, Verdict};

use crate::cage::{Job, Mode, Report};
use crate::exercises::Exercise;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::OnceLock;
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
    /// By how much that may be stretched while the machine is busy with something else.
    pub patience: u32,
}

impl Options {
    pub fn new(mode: Option<Mode>) -> Result<Options> {
        let xtask = std::env::current_exe().context("where is this program?")?;
        Ok(Options { xtask, mode, deadline: Duration::from_secs(10), patience: 10 })
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
    let stage = Stage {
        exercise,
        program,
        options,
        first_failed: AtomicUsize::new(usize::MAX),
    };
    let (mut verdict, mut fell_back) = (Verdict::passed(exercise.name), None);
    for played in stage.play_all() {
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
                verdict.findings.push(Finding::cannot(why));
            }
        }
    }
    verdict.seconds = start.elapsed().as_secs_f64();
    Judged { verdict, fell_back }
}

/// The cases of one exercise, being played.
struct Stage<'a> {
    exercise: &'a Exercise,
    program: &'a Program,
    options: &'a Options,
    /// What comes after this case does not matter any more.
    first_failed: AtomicUsize,
}

struct Played {
    report: Report,
    fell_back: Option<String>,
}

impl Stage<'_> {
    /// Plays all cases, as many at once as there are processors and one more, in their order. After
    /// a case that fails none is begun, and those behind it are broken off.
    fn play_all(&self) -> Vec<Played> {
        let cases = self.exercise.cases;
        let next = AtomicUsize::new(0);
        let played: Vec<OnceLock<Played>> =
            cases.iter().map(|_| OnceLock::new()).collect();
        let workers =
            std::thread::available_parallelism().map_or(2, |n| n.get()) + 1;
        std::thread::scope(|scope| {
            for _ in 0..workers.min(cases.len()) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= cases.len() || self.is_idle(index) {
                            break;
                        }
                        let result = self.play(index);
                        if !matches!(result.report, Report::Passed) {
                            self.first_failed.fetch_min(index, Ordering::Relaxed);
                        }
                        let _ = played[index].set(result);
                    }
                });
            }
        });
        played.into_iter().filter_map(OnceLock::into_inner).collect()
    }

    /// An earlier case has failed, so this one cannot change the verdict.
    fn is_idle(&self, index: usize) -> bool {
        self.first_failed.load(Ordering::Relaxed) < index
    }

    /// Plays one case in the best sandbox that is allowed.
    fn play(&self, index: usize) -> Played {
        let run = |mode| {
            self.run_in_cage(index, mode)
                .unwrap_or_else(|e| Report::Unavailable(format!("{e:#}")))
        };
        match run(self.options.mode.unwrap_or(Mode::Namespaces)) {
            Report::Unavailable(why)
                if self.options.mode.is_none() && !self.is_idle(index) =>
            {
                Played { report: run(Mode::Process), fell_back: Some(why) }
            }
            report => Played { report, fell_back: None },
        }
    }

    fn run_in_cage(&self, index: usize, mode: Mode) -> Result<Report> {
        let case = &self.exercise.cases[index];
        let path = match (case.explored, &self.program.explored) {
            (false, _) => &self.program.plain,
            (true, Some(path)) => path,
            (true, None) => bail!("not built for exploring interleavings"),
        };
        let folder = match mode {
            Mode::Namespaces => None,
            Mode::Process => {
                // The program will run as the same user: it must not look into this process.
                nix::sys::prctl::set_dumpable(false)?;
                Some(Folder::new()?)
            }
        };
        let job = Job {
            exercise: self.exercise.name.to_owned(),
            case: case.name.to_owned(),
            program: path.clone(),
            mode,
            deadline: self.options.deadline,
            patience: self.options.patience,
            folder: folder.as_ref().map(|folder| folder.path.clone()),
        };
        let mut keeper = Command::new(&self.options.xtask)
            .arg("cage")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("cannot start {}", self.options.xtask.display())
            })?;
        // As long as this pipe is open the keeper goes on.
        let mut line = keeper.stdin.take().context("no pipe to the sandbox")?;
        let mut answer = keeper.stdout.take().context("no pipe from the sandbox")?;
        // In one write(2): there is no buffer.
        line.write_all(format!("{}\n", job.to_json()).as_bytes())?;
        let text = self.read_answer(index, &mut answer)?;
        drop(line);
        let output = keeper.wait_with_output()?;
        match text {
            // Broken off; the verdict stands already.
            None => Ok(Report::Unavailable("not played to its end".into())),
            Some(text) if text.is_empty() => {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!(
                    "the sandbox ended without a report ({}): {said}",
                    output.status
                )
            }
            Some(text) => {
                Report::from_json(&text.parse()?).context("an unreadable report")
            }
        }
    }

    /// What the keeper answers; nothing if the answer does not matter any more.
    fn read_answer(
        &self,
        index: usize,
        answer: &mut ChildStdout,
    ) -> Result<Option<String>> {
        let mut text = Vec::new();
        loop {
            let mut fds = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(20_u8))? == 0 {
                if self.is_idle(index) {
                    return Ok(None);
                }
                continue;
            }
            let mut buffer = [0; 4096];
            match answer.read(&mut buffer)? {
                0 => return Ok(Some(String::from_utf8(text)?)),
                n => text.extend_from_slice(&buffer[..n]),
            }
        }
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
        if let Err(e) = remove(&self.path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("cannot remove {}: {e}", self.path.display());
        }
    }
}

/// Removes a folder, even if the program took away the right to empty it, or has made one in the
/// other until no path is long enough: what lies deeper is moved up first. Follows no link.
pub(crate) fn remove(top: &Path) -> std::io::Result<()> {
    let open_up = |folder: &Path| {
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder, all)
    };
    // Not possible, and not needed, for root's folder by another user.
    let _ = open_up(top);
    let mut moved = 0;
    loop {
        let folders = folders_of(top)?;
        if folders.is_empty() {
            return std::fs::remove_dir_all(top);
        }
        for folder in folders {
            open_up(&folder)?;
            for deeper in folders_of(&folder)? {
                open_up(&deeper)?;
                let free = loop {
                    moved += 1;
                    let place = top.join(moved.to_string());
                    if place.symlink_metadata().is_err() {
                        break place;
                    }
                };
                std::fs::rename(&deeper, free)?;
            }
            std::fs::remove_dir_all(&folder)?;
        }
    }
}

fn folders_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
