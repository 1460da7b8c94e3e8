//! Exercise 7: an event
//!
//! Task: an event that any number of threads can wait for: it is set, or it is not.
//!
//! Contract: the trait `Event`.
//! - `new()`: an event that is not set.
//! - `set()` sets it and releases all threads that wait for it at this moment, even
//!   if `clear()` follows at once. `clear()` ends it and releases nobody: who waits
//!   from then on, waits. Either of them twice is the same as once.
//! - `is_set()`: whether it is set now.
//! - `wait()` returns when the event is set; at once if it is set already. Until
//!   then the thread sleeps.
//! - `wait_timeout(limit)` does the same, for this long at most: true if the event
//!   released it, false if the time was over first.
//!
//! Checked: early and late waiters, many waiters, timeouts, with real threads; then
//! thousands of orders in which a few threads can run, for waiters that miss a set,
//! or go on without one.
//!
//! Given: `main`, which obeys commands (wait ANNA, wait BERT 5000, set, clear,
//! is_set). Locks must come from `exercises::sync` (Mutex, Condvar, Semaphore,
//! atomic): as in std, but the check can steer them.
//! Lesson: 11_event. Try it: cargo xtask run exercise7, then type wait ANNA and set.

use exercises::event::Event;
use exercises::sync::{Mutex, PoisonError};
use std::process::ExitCode;
use std::time::Duration;

struct Flag {
    set: Mutex<bool>,
}

impl Event for Flag {
    fn new() -> Self {
        Flag { set: Mutex::new(false) }
    }

    fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        // Release all threads that wait.
    }

    fn clear(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        // Sleep here until the event is set.
    }

    fn wait_timeout(&self, _limit: Duration) -> bool {
        // Sleep here until the event is set, or the time is over.
        self.is_set()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Flag>()
}
