//! Believes that waitpid gives a status whenever it is asked.

use anyhow::Context;
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
        let mut status = 0;
        // SAFETY: `status` is a valid place for an int. WNOHANG is the mistake.
        unsafe { libc::waitpid(child.id() as i32, &mut status, libc::WNOHANG) };
        if libc::WIFSIGNALED(status) {
            println!("{number}: signal {}", libc::WTERMSIG(status));
        } else {
            println!("{number}: exit {}", libc::WEXITSTATUS(status));
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
