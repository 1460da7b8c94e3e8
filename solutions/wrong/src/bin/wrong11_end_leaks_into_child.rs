//! Believes that a child has only those descriptors that it was given.

use anyhow::Context;
use nix::unistd::pipe;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Without O_CLOEXEC all four ends live on in the command.
    let (questions, to_child) = pipe()?;
    let (from_child, answers) = pipe()?;
    let mut command = command(&words)?;
    let mut child = command.stdin(questions).stdout(answers).spawn()?;
    // It holds the command's own ends; they must not stay open here.
    drop(command);

    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut File::from(to_child));
    });
    for line in BufReader::new(File::from(from_child)).split(b'\n') {
        std::io::stdout().write_all(&[b"> ", &line?[..], b"\n"].concat())?;
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
