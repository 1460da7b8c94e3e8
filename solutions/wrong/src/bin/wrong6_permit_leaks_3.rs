//! Believes that who has failed to speak may try again first.

use exercises::sync::{Condvar, Mutex};
use exercises::turns::Turns;
use std::process::ExitCode;

struct Speakers {
    threads: usize,
    /// Whose turn it is.
    next: Mutex<usize>,
    changed: Condvar,
}

impl Turns for Speakers {
    fn new(threads: usize) -> Self {
        Speakers { threads, next: Mutex::new(0), changed: Condvar::new() }
    }

    fn turn<E>(
        &self,
        who: usize,
        say: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let next = self.next.lock().expect("no holder panics");
        drop(self.changed.wait_while(next, |next| *next != who));
        let said = say();
        if said.is_ok() {
            *self.next.lock().expect("no holder panics") = (who + 1) % self.threads;
        }
        self.changed.notify_all();
        said
    }
}

fn main() -> ExitCode {
    exercises::turns::main::<Speakers>()
}
