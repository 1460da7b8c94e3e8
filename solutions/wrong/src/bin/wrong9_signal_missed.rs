//! Believes that who has looked whether a signal came can wait for one: nothing comes
//! between the look and the wait.

use anyhow::Context;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::pause;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};

static ENDED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_child(_: libc::c_int) {
    ENDED.store(true, Ordering::SeqCst);
}

fn main() -> anyhow::Result<()> {
    let handler = SigHandler::Handler(on_child);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing but store to an atomic.
    unsafe { sigaction(Signal::SIGCHLD, &action)? };
    let texts: Vec<String> = std::env::args().skip(1).collect();
    let mut lines = vec!["exit 127".to_owned(); texts.len()];
    let mut running: Vec<(usize, Child)> = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        if let Ok(child) = command(text)?.spawn() {
            running.push((place, child));
        }
    }
    while !running.is_empty() {
        if !ENDED.swap(false, Ordering::SeqCst) {
            pause();
        }
        for (place, mut child) in std::mem::take(&mut running) {
            match child.try_wait()? {
                Some(status) => lines[place] = tell(status),
                None => running.push((place, child)),
            }
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
