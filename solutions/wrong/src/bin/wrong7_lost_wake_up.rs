//! Believes that a flag that is atomic needs no lock around it.

use exercises::event::Event;
use exercises::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use exercises::sync::{Condvar, Mutex};
use std::process::ExitCode;
use std::time::Duration;

struct Flag {
    set: AtomicBool,
    times: AtomicU64,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Event for Flag {
    fn new() -> Self {
        Flag {
            set: AtomicBool::new(false),
            times: AtomicU64::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    fn set(&self) {
        self.set.store(true, SeqCst);
        self.times.fetch_add(1, SeqCst);
        self.changed.notify_all();
    }

    fn clear(&self) {
        self.set.store(false, SeqCst);
    }

    fn is_set(&self) -> bool {
        self.set.load(SeqCst)
    }

    fn wait(&self) {
        let before = self.times.load(SeqCst);
        let mut guard = self.lock.lock().expect("no holder panics");
        while !self.is_set() && self.times.load(SeqCst) == before {
            guard = self.changed.wait(guard).expect("no holder panics");
        }
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let before = self.times.load(SeqCst);
        let guard = self.lock.lock().expect("no holder panics");
        let unset = |_: &mut ()| !self.is_set() && self.times.load(SeqCst) == before;
        let waited = self.changed.wait_timeout_while(guard, limit, unset);
        !waited.expect("no holder panics").1.timed_out()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Flag>()
}
