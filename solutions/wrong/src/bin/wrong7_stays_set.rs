//! Believes that each set is a permit, which the next one to wait may use.

use exercises::event::Event;
use exercises::sync::{Condvar, Mutex};
use std::process::ExitCode;
use std::time::Duration;

/// One permit for each set.
struct Permits {
    count: Mutex<(bool, u32)>,
    changed: Condvar,
}

impl Event for Permits {
    fn new() -> Self {
        Permits { count: Mutex::new((false, 0)), changed: Condvar::new() }
    }

    fn set(&self) {
        let mut count = self.count.lock().expect("no holder panics");
        *count = (true, 1);
        self.changed.notify_all();
    }

    fn clear(&self) {
        self.count.lock().expect("no holder panics").0 = false;
    }

    fn is_set(&self) -> bool {
        self.count.lock().expect("no holder panics").0
    }

    fn wait(&self) {
        let count = self.count.lock().expect("no holder panics");
        let none = |count: &mut (bool, u32)| *count == (false, 0);
        drop(self.changed.wait_while(count, none).expect("no holder panics"));
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let count = self.count.lock().expect("no holder panics");
        let none = |count: &mut (bool, u32)| *count == (false, 0);
        let waited = self.changed.wait_timeout_while(count, limit, none);
        !waited.expect("no holder panics").1.timed_out()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Permits>()
}
