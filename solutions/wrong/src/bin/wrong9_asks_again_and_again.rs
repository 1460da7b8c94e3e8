//! Believes that to know when a child ends one has to ask again and again.

use anyhow::Context;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let mut children = Vec::new();
    for text in std::env::args().skip(1) {
        children.push(command(&text)?.spawn());
    }
    for (number, child) in (1..).zip(children) {
        match child {
            Ok(child) => println!("{number}: {}", tell(wait(child)?)),
            Err(_) => println!("{number}: exit 127"),
        }
    }
    wait_for_end_of_input()?;
    Ok(())
}

fn wait(mut child: Child) -> std::io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
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
