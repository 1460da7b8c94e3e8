use nix::sys::signal::{SigHandler, Signal, signal};
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1).as_ref().and_then(|role| role.to_str()) {
        // The judge starts this program again in this role.
        Some("cage") => xtask::cage::run(),
        // Judged programs start it as their child in this one.
        Some("actor") => xtask::actor::run(std::env::args().skip(2)),
        _ => {
            // Where its parent ignores it nobody could be waited for (wait(2)).
            // SAFETY: the default action runs no code of this program.
            let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
            xtask::commands::run()
        }
    }
}
