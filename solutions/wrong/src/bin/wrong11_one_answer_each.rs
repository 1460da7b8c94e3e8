//! Believes that a command answers each line with one line.

use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut child = command(&words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let mut to_child = child.stdin.take().context("no pipe to the command")?;
    let from_child = child.stdout.take().context("no pipe from the command")?;
    let mut answers = BufReader::new(from_child).split(b'\n');
    let mut question = Vec::new();
    while std::io::stdin().lock().read_until(b'\n', &mut question)? > 0 {
        to_child.write_all(&question)?;
        question.clear();
        if let Some(answer) = answers.next() {
            std::io::stdout().write_all(&[b"> ", &answer?[..], b"\n"].concat())?;
        }
    }
    drop(to_child);
    for answer in answers {
        std::io::stdout().write_all(&[b"> ", &answer?[..], b"\n"].concat())?;
    }
    println!("{}", tell(child.wait()?));
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
