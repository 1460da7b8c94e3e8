//! Believes that children end in the order in which they were started.

use anyhow::Context;
use nix::sys::wait::{WaitStatus, wait};
use std::process::Command;

fn main() -> anyhow::Result<()> {
    let texts: Vec<String> = std::env::args().skip(1).collect();
    let mut started = vec![];
    for text in &texts {
        started.push(command(text)?.spawn().is_ok());
    }
    for (number, started) in (1..).zip(started) {
        if !started {
            println!("{number}: exit 127");
            continue;
        }
        // The status of whichever child has ended.
        match wait()? {
            WaitStatus::Exited(_, code) => println!("{number}: exit {code}"),
            WaitStatus::Signaled(_, signal, _) => {
                println!("{number}: signal {}", signal as i32);
            }
            _ => {}
        }
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
