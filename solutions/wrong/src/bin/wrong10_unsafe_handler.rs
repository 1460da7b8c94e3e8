//! Believes that a handler may do whatever a function may do.

use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction,
};
use nix::unistd::Pid;
use std::io::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;

static COMMANDS: Mutex<Vec<(String, Child)>> = Mutex::new(Vec::new());

extern "C" fn on_child(_: libc::c_int) {
    // main may have this lock, and that of standard output, and wait for this
    // handler.
    COMMANDS.lock().unwrap().retain_mut(|(name, child)| match child.try_wait() {
        Ok(Some(status)) => {
            println!("{name}: {}", tell(status));
            false
        }
        _ => true,
    });
}

fn main() -> anyhow::Result<()> {
    let handler = SigHandler::Handler(on_child);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: none: this is the mistake.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    let helper: Vec<String> = std::env::args().skip(1).collect();
    let helper = Helper::start(&helper.join(" "))?;
    let mut orders = Orders::default();
    while let Some(lines) = orders.read()? {
        lines.iter().for_each(|line| obey(line));
    }
    // It does without the handler now.
    let default =
        SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no handler.
    unsafe { sigaction(Signal::SIGCHLD, &default)? };
    for (name, mut child) in std::mem::take(&mut *COMMANDS.lock().unwrap()) {
        // Asked before it is sent a signal: it may have ended, and been reaped.
        if child.try_wait()?.is_none() {
            kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM)?;
        }
        println!("{name}: {}", tell(child.wait()?));
    }
    helper.finish();
    Ok(())
}

fn obey(line: &str) {
    let Some(order) = line.strip_prefix("start ") else {
        println!("{} running", COMMANDS.lock().unwrap().len());
        return;
    };
    let (name, text) = order.split_once(' ').unwrap_or((order, ""));
    match command(text).spawn() {
        Ok(child) => COMMANDS.lock().unwrap().push((name.to_owned(), child)),
        Err(_) => println!("{name}: exit 127"),
    }
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
