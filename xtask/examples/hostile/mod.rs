//! What the hostile programs share: none of them can do harm outside of a sandbox,
//! and each comes to an end even if its sandbox fails.
#![allow(dead_code)]

use std::time::{Duration, Instant};

/// Far longer than any deadline of the test.
const LIFETIME: u32 = 20;

/// Ends the program unless it is judged: then it is called `exercise`, has no way to
/// gain rights, and its system calls are filtered.
pub fn begin() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let judged = std::env::args().next().is_some_and(|name| name == "exercise")
        && status.contains("NoNewPrivs:\t1")
        && status.contains("Seccomp:\t2");
    if !judged {
        eprintln!("This program is hostile: only the tests of the sandbox run it.");
        std::process::exit(2);
    }
    set_alarm();
}

/// SIGALRM ends the process: for those that ignore it, see [`Leash`].
fn set_alarm() {
    // SAFETY: alarm(2) takes a number.
    unsafe { libc::alarm(LIFETIME) };
}

/// Runs `act` in a child process, which inherits no alarm and gets its own. If there
/// may be no more of them, it tries on until there may.
pub fn child(act: impl FnOnce()) {
    let leash = Leash::new();
    while leash.holds() {
        // SAFETY: hostile programs fork while they have one thread.
        match unsafe { libc::fork() } {
            0 => {
                set_alarm();
                act();
                // SAFETY: _exit(2) takes a number.
                unsafe { libc::_exit(0) }
            }
            -1 => std::thread::yield_now(),
            _ => return,
        }
    }
}

/// Waits for a signal, for ever.
pub fn pause() {
    // SAFETY: pause(2) takes nothing.
    unsafe { libc::pause() };
}

/// Says how long something that has no end goes on.
pub struct Leash(Instant);

impl Leash {
    pub fn new() -> Leash {
        Leash(Instant::now())
    }

    pub fn holds(&self) -> bool {
        self.0.elapsed() < Duration::from_secs(LIFETIME.into())
    }
}

/// This process's parent, its parent, and one more: director, keeper and judge. None
/// of them is beyond the test that judges.
pub fn ancestors() -> Vec<i32> {
    let parent = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok().filter(|&pid| pid > 0)
    };
    let own = std::process::id() as i32;
    std::iter::successors(Some(own), parent).skip(1).take(3).collect()
}
