//! Believes that wait returns only when somebody has notified.

use exercises::event::Event;
use exercises::sync::{Condvar, Mutex};
use std::process::ExitCode;
use std::time::Duration;

struct Flag {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Event for Flag {
    fn new() -> Self {
        Flag { set: Mutex::new(false), changed: Condvar::new() }
    }

    fn set(&self) {
        *self.set.lock().expect("no holder panics") = true;
        self.changed.notify_all();
    }

    fn clear(&self) {
        *self.set.lock().expect("no holder panics") = false;
    }

    fn is_set(&self) -> bool {
        *self.set.lock().expect("no holder panics")
    }

    fn wait(&self) {
        let set = self.set.lock().expect("no holder panics");
        if !*set {
            drop(self.changed.wait(set).expect("no holder panics"));
        }
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let set = self.set.lock().expect("no holder panics");
        if *set {
            return true;
        }
        let waited = self.changed.wait_timeout(set, limit);
        !waited.expect("no holder panics").1.timed_out()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Flag>()
}
