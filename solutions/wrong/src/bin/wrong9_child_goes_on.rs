//! Believes that exec does not come back.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, execvp, fork};
use std::ffi::CString;

fn main() -> anyhow::Result<()> {
    let mut children = Vec::new();
    for text in std::env::args().skip(1) {
        let words: Vec<CString> =
            text.split_whitespace().map(CString::new).collect::<Result<_, _>>()?;
        // SAFETY: this process has one thread.
        match unsafe { fork()? } {
            ForkResult::Child => {
                // Whatever fails in the child, the loop goes on in it.
                let _ = execvp(&words[0], &words);
            }
            ForkResult::Parent { child } => children.push(child),
        }
    }
    for (number, child) in (1..).zip(children) {
        match waitpid(child, None)? {
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

fn wait_for_end_of_input() -> std::io::Result<u64> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
}
