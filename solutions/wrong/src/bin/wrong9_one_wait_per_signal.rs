//! Believes that each child that ends sends a signal of its own.

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};
use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

fn main() -> anyhow::Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block()?;
    let texts: Vec<String> = std::env::args().skip(1).collect();
    let mut lines = vec!["exit 127".to_owned(); texts.len()];
    let mut running = HashMap::new();
    for (place, text) in texts.iter().enumerate() {
        if let Ok(child) = command(text)?.spawn() {
            running.insert(child.id() as i32, place);
        }
    }
    while !running.is_empty() {
        ends.wait()?;
        let mut status = 0;
        // SAFETY: the address of an integer that lives longer than the call.
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        if let Some(place) = running.remove(&pid) {
            lines[place] = tell(ExitStatus::from_raw(status));
        }
    }
    for (number, line) in (1..).zip(lines) {
        println!("{number}: {line}");
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
