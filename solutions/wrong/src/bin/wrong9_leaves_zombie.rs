//! Believes that a child which could not become its command was never there.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, execvp, fork, pipe2};
use std::ffi::CString;
use std::io::Read;

fn main() -> anyhow::Result<()> {
    let mut children = Vec::new();
    for text in std::env::args().skip(1) {
        children.push(start(&text)?);
    }
    for (number, child) in (1..).zip(children) {
        let status = child.map(|pid| waitpid(pid, None)).transpose()?;
        match status {
            Some(WaitStatus::Exited(_, code)) => println!("{number}: exit {code}"),
            Some(WaitStatus::Signaled(_, signal, _)) => {
                println!("{number}: signal {}", signal as i32);
            }
            _ => println!("{number}: exit 127"),
        }
    }
    wait_for_end_of_input()?;
    Ok(())
}

/// The child; none if there is no such command.
fn start(text: &str) -> anyhow::Result<Option<Pid>> {
    let words: Vec<CString> =
        text.split_whitespace().map(CString::new).collect::<Result<_, _>>()?;
    // exec closes this pipe; a child that fails to exec writes to it.
    let (failure, to_parent) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: this process has one thread.
    match unsafe { fork()? } {
        ForkResult::Child => {
            let _ = execvp(&words[0], &words);
            let _ = nix::unistd::write(&to_parent, b"!");
            // SAFETY: the child of a fork may end like that at any time.
            unsafe { libc::_exit(127) }
        }
        ForkResult::Parent { child } => {
            drop(to_parent);
            let mut failed = Vec::new();
            std::fs::File::from(failure).read_to_end(&mut failed)?;
            // Nobody will ever wait for the one that failed.
            Ok(failed.is_empty().then_some(child))
        }
    }
}

fn wait_for_end_of_input() -> std::io::Result<u64> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
}
