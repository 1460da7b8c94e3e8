//! Believes that what was written to a buffer is on its way.

use anyhow::Context;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut child = command(&words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let to_child = child.stdin.take().context("no pipe to the command")?;
    let from_child = child.stdout.take().context("no pipe from the command")?;

    std::thread::Builder::new().spawn(move || {
        let mut to_child = BufWriter::new(to_child);
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = std::io::stdin().read(&mut buffer) {
            if to_child.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
    })?;
    // By bytes: they need not be text.
    for line in BufReader::new(from_child).split(b'\n') {
        std::io::stdout().write_all(&[b"> ", &line?[..], b"\n"].concat())?;
    }

    println!("{}", tell(child.wait()?));
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
