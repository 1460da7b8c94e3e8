//! Exercise 10: a supervisor that reaps by SIGCHLD
//!
//! Task: a program that starts commands as it is told, and reports the end of each
//! at once, whatever it is doing at that moment. SIGCHLD says that something has
//! happened to a child; it does not say to which, nor to how many.
//!
//! Contract: `exercise10 HELPER...`: the words are the command of a helper (see
//! Given). Standard input has one order a line.
//! - `start NAME COMMAND...` starts a command. Words are separated by blanks.
//! - `count` prints `N running`: the commands that were started and whose end has
//!   not been reported.
//! - When a command has ended print `NAME: exit CODE`, or `NAME: signal NUMBER` if a
//!   signal ended it; once, also if no order comes any more. A command that cannot
//!   be started, for whatever reason, counts as one that ended with code 127. One
//!   that is stopped (SIGSTOP) has not ended.
//! - No command that was reported is left as a zombie.
//! - At the end of the input send SIGTERM to all commands that still run, and report
//!   their ends. Then call `finish` of the helper and end with status 0.
//! - The helper's status belongs to `Helper`. Nobody else may take it.
//! - While nothing happens the program sleeps: it does not ask again and again. It
//!   has at most four threads, however many commands there are.
//! - Commands start with no signal blocked, and with descriptors 0, 1 and 2 only.
//!
//! Checked: one end and two hundred at the same moment, while it waits for orders,
//! just before it does, and while it prints (a handler may interrupt anything, also
//! the printing: see signal-safety(7)); a command that ends as soon as it has
//! begun, one that does not exist and one that may not be executed; the helper's
//! status; stopped commands; what commands inherit; the end of the input.
//!
//! Given: `Helper`, `Orders`, `command`, `tell`. Use a handler and a pipe, signalfd,
//! sigwait: what you like. Lesson: 18_sigchld. Try it: cargo xtask run exercise10
//! sleep 9, then type start anna sleep 5, count, and press Control-D at last.

use std::io::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    let helper: Vec<String> = std::env::args().skip(1).collect();
    let helper = Helper::start(&helper.join(" "))?;
    let mut commands: Vec<(String, Child)> = Vec::new();
    let mut orders = Orders::default();
    while let Some(lines) = orders.read()? {
        for line in lines {
            match line.split_once(' ') {
                Some(("start", rest)) => {
                    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                    commands.push((name.to_owned(), command(text).spawn()?));
                }
                _ => println!("{} running", commands.len()),
            }
        }
    }
    // So far nobody hears of an end before the end of the input.
    for (name, mut child) in commands {
        println!("{name}: {}", tell(child.wait()?));
    }
    helper.finish();
    Ok(())
}

/// A child of somebody else: a library, say, that waits for it by itself. Leave it
/// as it is.
struct Helper {
    child: Child,
}

impl Helper {
    fn start(text: &str) -> std::io::Result<Helper> {
        Ok(Helper { child: command(text).spawn()? })
    }

    /// Waits for the helper's end.
    fn finish(mut self) {
        match self.child.wait() {
            Ok(status) => println!("helper: {}", tell(status)),
            Err(e) => println!("helper: no status: {e}"),
        }
    }
}

/// What has been read from standard input and is not a whole line yet.
#[derive(Default)]
struct Orders {
    rest: Vec<u8>,
}

impl Orders {
    /// Waits for input (read(2), once) and returns the lines that are whole now;
    /// none at the end of the input.
    ///
    /// # Errors
    /// Those of read(2): EINTR if it waited, and a signal was handled meanwhile.
    fn read(&mut self) -> std::io::Result<Option<Vec<String>>> {
        let mut buffer = [0; 4096];
        // SAFETY: the address and the size of a buffer that lives longer than the
        // call.
        let n = unsafe { libc::read(0, buffer.as_mut_ptr().cast(), buffer.len()) };
        let n = usize::try_from(n).map_err(|_| Error::last_os_error())?;
        self.rest.extend_from_slice(&buffer[..n]);
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n');
        let lines: Vec<u8> = self.rest.drain(..whole.map_or(0, |n| n + 1)).collect();
        let text = String::from_utf8_lossy(&lines);
        Ok((n > 0).then(|| text.lines().map(str::to_owned).collect()))
    }
}

/// The command with its arguments, ready to be started.
fn command(text: &str) -> Command {
    let mut words = text.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Says how a child ended. `ExitStatus::from_raw` takes what waitpid stores.
fn tell(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
