//! What the lessons share: three verbs and a view of `/proc`.
//!
//! A lesson opens with its question ([`open`]) and goes on in numbered steps ([`step`]). It shows
//! values that it read from the kernel ([`observe`]) and states what follows from them ([`prove`]).
//! A proof that does not hold ends the lesson with a message and a non-zero status: a lesson
//! cannot say what the kernel does not confirm.
//!
//! [`until`] waits for a state of the kernel, [`proc`] and [`net`] read it.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "This workbook shows how Linux works and runs on Linux only: use the dev container."
);

pub mod beneath;
pub mod chart;
pub mod load;
pub mod lossy;
pub mod net;
pub mod proc;
pub mod screen;
pub mod serve;
pub mod transfer;
mod until;
mod walk;

pub use until::until;

use std::fmt::Display;
use std::sync::Mutex;

/// What the current step has observed, so that a proof that fails can say what was seen.
static OBSERVED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints the lesson's name and its question. To be called first, once.
pub fn open(question: &str) {
    screen::line(&screen::title(&lesson_name(), question));
}

/// Begins the next step: its number and what is about to happen.
///
/// In a walkthrough (`cargo xtask walk`) it first waits until the class has read the source.
#[track_caller]
pub fn step(title: &str) {
    observed().clear();
    walk::pause(std::panic::Location::caller());
    screen::line("");
    screen::line(&screen::step(title));
}

/// Prints a value that was seen, in this run, on this machine.
pub fn observe(label: &str, value: impl Display) {
    let value = value.to_string();
    screen::line(&screen::observation(label, &value));
    observed().push(format!("{label}: {value}"));
}

/// Prints the claim with a tick if it `holds`.
///
/// # Errors
/// If the claim does not hold: what was claimed, and what this step observed instead.
pub fn prove(claim: &str, holds: bool) -> anyhow::Result<()> {
    if holds {
        screen::line(&screen::proof(claim));
        return Ok(());
    }
    let seen = observed().join("; ");
    let seen = if seen.is_empty() { "nothing" } else { &seen };
    anyhow::bail!("this did not hold: {claim} (observed in this step: {seen})")
}

/// The name of what a pthread function returned: `0`, or for instance `EINVAL`.
///
/// These functions return the error itself and leave `errno` alone (pthreads(7)).
pub fn errno_name(returned: i32) -> String {
    match returned {
        0 => "0".to_owned(),
        error => format!("{:?}", nix::errno::Errno::from_raw(error)),
    }
}

fn observed() -> std::sync::MutexGuard<'static, Vec<String>> {
    OBSERVED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn lesson_name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
