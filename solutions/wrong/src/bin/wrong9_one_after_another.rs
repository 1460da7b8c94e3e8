//! Believes that a command runs beside the program although the program waits for
//! it.

use anyhow::Context;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    for (number, text) in (1..).zip(std::env::args().skip(1)) {
        match command(&text)?.status() {
            Ok(status) => println!("{number}: {}", tell(status)),
            Err(_) => println!("{number}: exit 127"),
        }
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
