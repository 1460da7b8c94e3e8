//! Believes that who has looked at the handler's note can wait: nothing comes between
//! the look and the wait.

use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction,
};
use nix::unistd::Pid;
use std::io::{Error, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};

static ENDED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_child(_: libc::c_int) {
    ENDED.store(true, Ordering::SeqCst);
}

fn main() -> anyhow::Result<()> {
    let handler = SigHandler::Handler(on_child);
    // Without SA_RESTART: read returns EINTR.
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing but store to an atomic.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    let helper: Vec<String> = std::env::args().skip(1).collect();
    let helper = Helper::start(&helper.join(" "))?;
    let mut commands = Commands::default();
    let mut orders = Orders::default();
    loop {
        if ENDED.swap(false, Ordering::SeqCst) {
            commands.reap()?;
        }
        match orders.read() {
            Ok(Some(lines)) => lines.iter().for_each(|line| commands.obey(line)),
            Ok(None) => break,
            // The handler ran.
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        }
    }
    commands.end()?;
    helper.finish();
    Ok(())
}

#[derive(Default)]
struct Commands {
    running: Vec<(String, Child)>,
}

impl Commands {
    fn obey(&mut self, line: &str) {
        let Some(order) = line.strip_prefix("start ") else {
            println!("{} running", self.running.len());
            return;
        };
        let (name, text) = order.split_once(' ').unwrap_or((order, ""));
        match command(text).spawn() {
            Ok(child) => self.running.push((name.to_owned(), child)),
            Err(_) => println!("{name}: exit 127"),
        }
    }

    fn reap(&mut self) -> std::io::Result<()> {
        let mut still_running = Vec::new();
        for (name, mut child) in self.running.drain(..) {
            match child.try_wait()? {
                Some(status) => println!("{name}: {}", tell(status)),
                None => still_running.push((name, child)),
            }
        }
        self.running = still_running;
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        for (_, child) in &self.running {
            kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM)?;
        }
        for (name, mut child) in self.running {
            println!("{name}: {}", tell(child.wait()?));
        }
        Ok(())
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
