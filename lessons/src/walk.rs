//! The lesson's side of a walkthrough.
//!
//! `cargo xtask walk` starts the lesson with `LESSONS_WALK=W,R` in its environment: two descriptors,
//! one to write to and one to read from. Before each step the lesson writes the step's line number
//! and waits for one byte; meanwhile the class reads the source that is about to run.

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::fs::File;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, FromRawFd};
use std::panic::Location;

pub fn pause(step: &Location) {
    let Some((write, read)) = descriptors() else { return };
    // SAFETY: the walkthrough opened both for this lesson and nobody else in it uses or closes
    // them; ManuallyDrop keeps them open for the next step.
    let (write, read) =
        unsafe { (File::from_raw_fd(write), File::from_raw_fd(read)) };
    let (mut write, mut read) = (ManuallyDrop::new(write), ManuallyDrop::new(read));
    // What the lesson starts is none of the walkthrough's business.
    for fd in [write.as_fd(), read.as_fd()] {
        let _ = fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
    // If the walkthrough has gone, the lesson simply goes on.
    if writeln!(write, "{}", step.line()).is_ok() {
        let _ = read.read(&mut [0]);
    }
}

fn descriptors() -> Option<(i32, i32)> {
    let value = std::env::var("LESSONS_WALK").ok()?;
    let (write, read) = value.split_once(',')?;
    Some((write.parse().ok()?, read.parse().ok()?))
}
