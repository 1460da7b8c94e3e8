//! Believes that every process that has ended has an exit code.

use anyhow::Context;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

fn main() -> anyhow::Result<()> {
    let mut children = Vec::new();
    for text in std::env::args().skip(1) {
        children.push(command(&text)?.spawn());
    }
    for (number, child) in (1..).zip(children) {
        let code = match child {
            Ok(mut child) => {
                let status = child.wait()?;
                // As a shell has it in `$?`.
                status.code().unwrap_or(128 + status.signal().unwrap_or_default())
            }
            Err(_) => 127,
        };
        println!("{number}: exit {code}");
    }
    wait_for_end_of_input()?;
    Ok(())
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
