//! Believes that a command cannot be started for one reason only.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction,
};
use nix::unistd::{Pid, pipe2, read};
use std::io::Error;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};

/// The end of the pipe that the handler writes to.
static WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_child(_: libc::c_int) {
    // What it interrupts may be about to look at errno.
    let errno = Errno::last_raw();
    // SAFETY: write is async-signal-safe, and the byte is static. If the pipe is
    // full it says so, and there is enough in it to wake anybody.
    unsafe { libc::write(WAKE.load(Ordering::Relaxed), b"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

fn main() -> anyhow::Result<()> {
    let ended = catch_ends()?;
    let helper: Vec<String> = std::env::args().skip(1).collect();
    let helper = Helper::start(&helper.join(" "))?;
    let mut commands = Commands::default();
    let mut orders = Orders::default();
    while let Some(lines) = read_or_reap(&mut orders, &ended, &mut commands)? {
        for line in lines {
            match line.split_once(' ') {
                Some(("start", rest)) => commands.start(rest)?,
                _ => println!("{} running", commands.running.len()),
            }
        }
    }
    for (_, child) in &commands.running {
        // Not reaped yet, so its number still means this child.
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM)?;
    }
    for (name, mut child) in commands.running {
        println!("{name}: {}", tell(child.wait()?));
    }
    helper.finish();
    Ok(())
}

/// Returns what can be read after children have ended.
fn catch_ends() -> nix::Result<OwnedFd> {
    let (ended, wake) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    WAKE.store(wake.into_raw_fd(), Ordering::Relaxed);
    let handler = SigHandler::Handler(on_child);
    let flags = SaFlags::SA_RESTART | SaFlags::SA_NOCLDSTOP;
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the handler does nothing but a write to a descriptor that stays open.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    Ok(ended)
}

/// Waits for orders, and looks after the commands whenever a signal says so.
fn read_or_reap(
    orders: &mut Orders,
    ended: &OwnedFd,
    commands: &mut Commands,
) -> anyhow::Result<Option<Vec<String>>> {
    let stdin = std::io::stdin();
    loop {
        let mut fds = [
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            // The handler ran; the pipe can be read now.
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        let has = |fd: &PollFd| fd.any() == Some(true);
        let (order, signal) = (has(&fds[0]), has(&fds[1]));
        if signal {
            // First empty the pipe, then look: an end in between writes a new byte.
            while read(ended, &mut [0; 64]).is_ok_and(|n| n > 0) {}
            commands.reap()?;
        }
        if order {
            return Ok(orders.read()?);
        }
    }
}

#[derive(Default)]
struct Commands {
    running: Vec<(String, Child)>,
}

impl Commands {
    fn start(&mut self, order: &str) -> std::io::Result<()> {
        let (name, text) = order.split_once(' ').unwrap_or((order, ""));
        match command(text).spawn() {
            Ok(child) => self.running.push((name.to_owned(), child)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                println!("{name}: exit 127");
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Asks for each command by its own number: one signal may stand for many ends,
    /// and the helper is none of these.
    fn reap(&mut self) -> std::io::Result<()> {
        let mut still_running = Vec::new();
        for (name, mut child) in self.running.drain(..) {
            // waitpid with WNOHANG.
            match child.try_wait()? {
                Some(status) => println!("{name}: {}", tell(status)),
                None => still_running.push((name, child)),
            }
        }
        self.running = still_running;
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
