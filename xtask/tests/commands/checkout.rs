//! A copy of the workbook to try the commands in, and ways to run them there.

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// The program that is tested.
pub const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
/// Where the copies build, so that the next run of these tests finds everything
/// built.
const BUILDS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/commands");
/// What hangs is ended after this; nothing that works comes near it.
const LIMIT: Duration = Duration::from_secs(300);

/// A workbook in the state in which it is handed out, gone when this is dropped.
pub struct Checkout {
    pub root: PathBuf,
    _turn: Option<File>,
}

impl Checkout {
    /// For commands that build nothing.
    pub fn new() -> Checkout {
        Checkout::make(None)
    }

    /// For commands that build. The copies take turns: they share one folder for
    /// what is built, and there `exercise3` is another program for each of them.
    pub fn for_builds() -> Checkout {
        fs::create_dir_all(BUILDS).expect("a folder for builds");
        let turn = File::create(format!("{BUILDS}/turn")).expect("a file to lock");
        turn.lock().expect("a turn");
        Checkout::make(Some(turn))
    }

    fn make(turn: Option<File>) -> Checkout {
        static COPIES: AtomicUsize = AtomicUsize::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("commands-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let copy = Checkout { root, _turn: turn };
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for part in ["Cargo.toml", "Cargo.lock", "lessons", "solutions", "xtask"] {
            copy_tree(&original.join(part), &copy.path(part));
        }
        for part in ["Cargo.toml", "src", "mine/Cargo.toml", "mine/src/lib.rs"] {
            let part = format!("exercises/{part}");
            copy_tree(&original.join(&part), &copy.path(&part));
        }
        copy
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub fn read(&self, relative: &str) -> Vec<u8> {
        fs::read(self.path(relative)).unwrap_or_else(|e| panic!("{relative}: {e}"))
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(&path, content).unwrap_or_else(|e| panic!("{relative}: {e}"));
    }

    /// Hands in one of the workbook's programs as the answer to exercise 3.
    pub fn answer_with(&self, program: &str) {
        self.write(ANSWER, self.read(program));
    }

    /// `cargo xtask` with these arguments, still to be run.
    pub fn xtask<const N: usize>(&self, args: [&str; N]) -> Command {
        self.command(XTASK, args)
    }

    /// Any program, run in this workbook.
    pub fn command<const N: usize>(
        &self,
        program: &str,
        args: [&str; N],
    ) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root);
        command.env("CARGO", cargo()).env("CARGO_TARGET_DIR", BUILDS);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CARGO_TERM_COLOR"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `cargo xtask` with these arguments.
    pub fn run<const N: usize>(&self, args: [&str; N]) -> Said {
        run(&mut self.xtask(args))
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.root) {
            eprintln!("cannot remove {}: {e}", self.root.display());
        }
    }
}

pub const ANSWER: &str = "exercises/mine/src/bin/exercise3.rs";
pub const PROGRESS: &str = "exercises/mine/progress.txt";
pub const STARTER: &str = "exercises/src/bin/starter3.rs";
pub const SOLUTION: &str = "solutions/src/bin/solution3.rs";
pub const WRONG: &str = "solutions/wrong/src/bin/wrong3_never_joins.rs";

/// The cargo that runs these tests.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into())
}

/// Copies a file or a folder. Times are kept, so that cargo sees what is built
/// already.
fn copy_tree(from: &Path, to: &Path) {
    let explain = |e| panic!("copying {}: {e}", from.display());
    if from.is_dir() {
        fs::create_dir_all(to).unwrap_or_else(explain);
        for entry in fs::read_dir(from).expect("a folder").flatten() {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    fs::create_dir_all(to.parent().expect("a file is in a folder"))
        .unwrap_or_else(explain);
    let time = fs::metadata(from).and_then(|data| data.modified());
    fs::copy(from, to)
        .and_then(|_| File::options().write(true).open(to)?.set_modified(time?))
        .unwrap_or_else(explain);
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// It ended with this status and did not panic.
    #[track_caller]
    pub fn ended(self, status: i32) -> Said {
        let panicked =
            self.out.contains("panicked") || self.err.contains("panicked");
        assert!(self.status == status && !panicked, "not {status}: {self:#?}");
        self
    }

    /// It could not do its work and said why in one line.
    #[track_caller]
    pub fn gave_up_over(self, why: &str) -> Said {
        let said = self.ended(2);
        let one_line = said.complaints().len() == 1 && said.err.ends_with('\n');
        assert!(one_line && said.err.contains(why), "not {why:?}: {said:#?}");
        said
    }

    /// The lines on standard error. That somebody else's cargo is at work can always
    /// come in.
    pub fn complaints(&self) -> Vec<&str> {
        self.err.lines().filter(|line| !is_about_locks(line)).collect()
    }

    #[track_caller]
    pub fn shows(self, text: &str) -> Said {
        assert!(self.out.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

/// Cargo's word for having to wait until another cargo is done.
pub fn is_about_locks(line: &str) -> bool {
    ["Blocking waiting for file lock", "(another cargo is"]
        .iter()
        .any(|part| line.contains(part))
}

/// Runs a command to its end, without input.
pub fn run(command: &mut Command) -> Said {
    run_with_input(command, "")
}

pub fn run_with_input(command: &mut Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command, input)
}

/// Runs a command whose output goes where the command says already.
pub fn run_into(command: &mut Command, out: impl Into<Stdio>) -> Said {
    command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
    finish(command, "")
}

fn finish(command: &mut Command, input: &str) -> Said {
    let mut child = start(command);
    let output = guarded(child.id(), || {
        // A command may end without having read its input.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    });
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said {
        status: code(output.status),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Runs a command on a terminal so many columns wide, and presses each key when the
/// text before it in `keys` has come once more. What the terminal showed is all in
/// `out`.
pub fn run_on_terminal(
    command: &mut Command,
    columns: u16,
    keys: &[(&str, u8)],
) -> Said {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal");
    let slave = || pty.slave.try_clone().expect("a descriptor");
    command.stdin(slave()).stdout(slave()).stderr(slave());
    let mut child = start(command);
    // The terminal is at its end when nobody has its other side open any more.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(pty.slave);
    let mut master = File::from(pty.master);
    let (status, shown) = guarded(child.id(), || {
        let (mut shown, mut buffer, mut seen) = (Vec::new(), [0; 4096], 0);
        let mut keys = keys.iter();
        let mut key = keys.next();
        loop {
            match master.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => shown.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // EIO: the other side is closed.
                Err(_) => break,
            }
            while let Some((prompt, letter)) = key
                && let Some(at) = find(&shown[seen..], prompt.as_bytes())
            {
                seen += at + prompt.len();
                master.write_all(&[*letter]).expect("a key can be pressed");
                key = keys.next();
            }
        }
        (child.wait().expect("it ends"), shown)
    });
    let out = String::from_utf8(shown).expect("text").replace("\r\n", "\n");
    Said { status: code(status), out, err: String::new() }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Starts a command in a process group of its own, which can be ended as a whole.
fn start(command: &mut Command) -> Child {
    command.process_group(0).spawn().expect("it starts")
}

/// Does `work`; if that takes too long, ends the process group that it waits for.
fn guarded<T>(group: u32, work: impl FnOnce() -> T) -> T {
    let group = Pid::from_raw(i32::try_from(group).expect("a process id"));
    let (done, finished) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if finished.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("it hangs, and is ended");
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("{status}"))
}
