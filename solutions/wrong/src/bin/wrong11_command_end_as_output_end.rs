//! Believes that all has been said when the command has ended, or soon after that.

use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut child = command(&words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let mut to_child = child.stdin.take().context("no pipe to the command")?;
    let from_child = child.stdout.take().context("no pipe from the command")?;

    std::thread::Builder::new().spawn(move || {
        // An error here is the command's wish to hear no more (EPIPE; Rust programs
        // ignore SIGPIPE). At the end of the closure the pipe is closed, in either
        // case.
        let _ = std::io::copy(&mut std::io::stdin(), &mut to_child);
    })?;
    std::thread::Builder::new().spawn(move || {
        // By bytes: they need not be text.
        for line in BufReader::new(from_child).split(b'\n').map_while(Result::ok) {
            let line = [b"> ", &line[..], b"\n"].concat();
            let _ = std::io::stdout().write_all(&line);
        }
    })?;

    let status = child.wait()?;
    std::thread::sleep(Duration::from_millis(300));
    println!("{}", tell(status));
    // Nobody joins the thread: it may wait for input that nobody needs any more.
    Ok(())
}

/// The command with its arguments, ready to be started.
fn command(words: &[String]) -> anyhow::Result<Command> {
    let (program, arguments) =
        words.split_first().context("usage: exercise11 COMMAND...")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Says how a child ended. `ExitStatus::from_raw` takes what waitpid stores.
fn tell(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
