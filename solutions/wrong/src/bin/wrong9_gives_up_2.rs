//! Believes that a command cannot be started for one reason only.

use anyhow::Context;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    let texts: Vec<String> = std::env::args().skip(1).collect();
    let mut children = Vec::new();
    for text in &texts {
        match command(text)?.spawn() {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e.into());
            }
            child => children.push(child),
        }
    }
    // Those that end early are zombies for a while, until it is their turn.
    for (number, child) in (1..).zip(children) {
        println!("{number}: {}", status(child)?);
    }
    wait_for_end_of_input()?;
    Ok(())
}

/// Waits for the child's end and says how it came (wait(2): WIFEXITED, WIFSIGNALED).
fn status(child: std::io::Result<Child>) -> anyhow::Result<String> {
    let Ok(mut child) = child else { return Ok("exit 127".to_owned()) };
    let status: ExitStatus = child.wait()?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => unreachable!("wait returns at the child's end only"),
    })
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
