//! Believes that a command which cannot be started is an error of the program.

use anyhow::Context;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    let mut children = Vec::new();
    for text in std::env::args().skip(1) {
        children.push(command(&text)?.spawn()?);
    }
    for (number, mut child) in (1..).zip(children) {
        println!("{number}: {}", tell(child.wait()?));
    }
    wait_for_end_of_input()?;
    Ok(())
}

/// Says how a child ended.
fn tell(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}

/// The command with its arguments, ready to be started.
fn command(text: &str) -> anyhow::Result<Command> {
    let mut words = text.split_whitespace();
    let mut command = Command::new(words.next().context("an empty command")?);
    command.args(words);
    Ok(command)
}

fn wait_for_end_of_input() -> std::io::Result<u64> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
}
