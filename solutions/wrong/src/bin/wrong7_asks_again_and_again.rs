//! Believes that waiting for a flag means looking at it.

use exercises::event::Event;
use exercises::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::process::ExitCode;
use std::time::{Duration, Instant};

struct Flag(AtomicBool);

impl Event for Flag {
    fn new() -> Self {
        Flag(AtomicBool::new(false))
    }

    fn set(&self) {
        self.0.store(true, SeqCst);
    }

    fn clear(&self) {
        self.0.store(false, SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }

    fn wait(&self) {
        while !self.is_set() {
            exercises::thread::yield_now();
        }
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.is_set() && Instant::now() < end {
            exercises::thread::yield_now();
        }
        self.is_set()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Flag>()
}
