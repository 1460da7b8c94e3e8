//! Exercise 9: run commands at once, report each status in order
//!
//! Task: start several commands, let them run at the same time, and say how each of
//! them ended.
//!
//! Contract: `exercise9 COMMAND...`; each argument is one command, its words are
//! separated by blanks.
//! - Start all commands; none waits for the end of another.
//! - For each command print one line, in the order of the command line, after it has
//!   ended: `1: exit CODE`, or `1: signal NUMBER` if a signal ended it. The number
//!   before the colon counts from 1. A command that is stopped (SIGSTOP) has not
//!   ended.
//! - A command that cannot be started, for whatever reason, counts as one that ended
//!   with code 127. The others are not affected.
//! - While the program waits it sleeps: it does not ask again and again.
//! - After the last line no command is left behind, not even as a zombie. The
//!   program lives on until its input ends; then it ends with status 0.
//!
//! Checked: that all commands run at the same time; the lines and their order, when
//! the last command ends first; exit codes and signals; a command that is stopped;
//! one that does not exist and one that may not be executed; a hundred that end at
//! the same moment; one that ends just before the program waits; zombies.
//!
//! Given: `command`, `wait_for_end_of_input`. Use std::process, nix or libc. Lesson:
//! 15_waitpid. Try it: cargo xtask run exercise9 "sleep 2" false "ls /nowhere", and
//! press Control-D at last.

use anyhow::Context;
use std::process::Command;

fn main() -> anyhow::Result<()> {
    for (number, text) in (1..).zip(std::env::args().skip(1)) {
        // This waits for the command before the next one is started, it gives up if
        // there is no such command, and it knows nothing of signals.
        let status = command(&text)?.status()?;
        println!("{number}: exit {}", status.code().unwrap_or(0));
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
