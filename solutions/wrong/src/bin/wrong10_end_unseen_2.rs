//! Believes that an end is reported when a handler has noted it down.

use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, raise,
    sigaction,
};
use nix::unistd::Pid;
use std::io::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};

/// No more commands are started.
const MOST: usize = 1024;
/// Stands for a command that has not ended.
const RUNS: i32 = -1;

/// The number of each command, 0 once it has been reaped; and its status.
static NUMBERS: [AtomicI32; MOST] = [const { AtomicI32::new(0) }; MOST];
static ENDS: [AtomicI32; MOST] = [const { AtomicI32::new(RUNS) }; MOST];

extern "C" fn on_child(_: libc::c_int) {
    let errno = Errno::last_raw();
    for (number, end) in NUMBERS.iter().zip(&ENDS) {
        let (pid, mut status) = (number.load(Ordering::Relaxed), 0);
        if pid == 0 {
            continue;
        }
        // SAFETY: waitpid is async-signal-safe, and writes one int.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
            end.store(status, Ordering::Relaxed);
            number.store(0, Ordering::Relaxed);
        }
    }
    Errno::set_raw(errno);
}

fn main() -> anyhow::Result<()> {
    let handler = SigHandler::Handler(on_child);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler calls waitpid and uses atomics; nothing else.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    let helper: Vec<String> = std::env::args().skip(1).collect();
    let helper = Helper::start(&helper.join(" "))?;
    let mut commands = Commands::default();
    let mut orders = Orders::default();
    // After the handler the read goes on, and what was noted down has to wait.
    while let Some(lines) = orders.read()? {
        commands.report();
        for line in lines {
            commands.obey(&line)?;
        }
    }
    commands.end()?;
    helper.finish();
    Ok(())
}

#[derive(Default)]
struct Commands {
    started: usize,
    /// With its place in the two tables.
    running: Vec<(String, usize)>,
}

impl Commands {
    fn obey(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(order) = line.strip_prefix("start ") else {
            println!("{} running", self.running.len());
            return Ok(());
        };
        let (name, text) = order.split_once(' ').unwrap_or((order, ""));
        let Ok(child) = command(text).spawn() else {
            println!("{name}: exit 127");
            return Ok(());
        };
        NUMBERS[self.started].store(child.id() as i32, Ordering::Relaxed);
        self.running.push((name.to_owned(), self.started));
        self.started += 1;
        // It may have ended before its number stood in the table.
        raise(Signal::SIGCHLD)?;
        Ok(())
    }

    fn report(&mut self) {
        self.running.retain(|(name, place)| {
            let end = ENDS[*place].load(Ordering::Relaxed);
            if end != RUNS {
                println!("{name}: {}", tell(ExitStatus::from_raw(end)));
            }
            end == RUNS
        });
    }

    fn end(mut self) -> nix::Result<()> {
        // From here on the handler runs in `suspend` only.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        for number in &NUMBERS {
            let pid = number.load(Ordering::Relaxed);
            if pid > 0 {
                kill(Pid::from_raw(pid), Signal::SIGTERM)?;
            }
        }
        self.report();
        while !self.running.is_empty() {
            before.suspend()?;
            self.report();
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
