//! Believes that whoever waits for several things needs a thread for each.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

/// The numbers of the commands that run.
type Running = Arc<Mutex<Vec<u32>>>;

fn main() -> anyhow::Result<()> {
    let helper: Vec<String> = std::env::args().skip(1).collect();
    let helper = Helper::start(&helper.join(" "))?;
    let running = Running::default();
    let mut threads = Vec::new();
    let mut orders = Orders::default();
    while let Some(lines) = orders.read()? {
        for line in lines {
            let Some(order) = line.strip_prefix("start ") else {
                println!("{} running", running.lock().unwrap().len());
                continue;
            };
            let (name, text) = order.split_once(' ').unwrap_or((order, ""));
            let Ok(child) = command(text).spawn() else {
                println!("{name}: exit 127");
                continue;
            };
            running.lock().unwrap().push(child.id());
            let (name, running) = (name.to_owned(), Arc::clone(&running));
            threads.push(std::thread::spawn(move || watch(&name, child, &running)));
        }
    }
    for pid in running.lock().unwrap().iter() {
        kill(Pid::from_raw(*pid as i32), Signal::SIGTERM)?;
    }
    for thread in threads {
        thread.join().unwrap()?;
    }
    helper.finish();
    Ok(())
}

fn watch(name: &str, mut child: Child, running: &Running) -> std::io::Result<()> {
    let status = child.wait()?;
    running.lock().unwrap().retain(|&pid| pid != child.id());
    println!("{name}: {}", tell(status));
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
