//! Believes that a pipe goes both ways.

use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (reader, mut writer) = std::io::pipe()?;
    let mut command = command(&words)?;
    command.stdin(reader.try_clone()?).stdout(writer.try_clone()?);
    let mut child = command.spawn()?;
    drop(command);

    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut writer);
    });
    for line in BufReader::new(reader).split(b'\n') {
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
