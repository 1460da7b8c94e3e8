//! Believes that waitpid returns at the end of a child only, whatever its options.

use anyhow::Context;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::process::Command;

fn main() -> anyhow::Result<()> {
    let mut children = Vec::new();
    for text in std::env::args().skip(1) {
        children.push(command(&text)?.spawn());
    }
    for (number, child) in (1..).zip(children) {
        let Ok(child) = child else {
            println!("{number}: exit 127");
            continue;
        };
        let pid = Pid::from_raw(child.id() as i32);
        match waitpid(pid, Some(WaitPidFlag::WUNTRACED))? {
            WaitStatus::Exited(_, code) => println!("{number}: exit {code}"),
            WaitStatus::Signaled(_, signal, _) | WaitStatus::Stopped(_, signal) => {
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
