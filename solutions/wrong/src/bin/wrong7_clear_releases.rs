//! Believes that what has changed has been set: counts the clears, too.

use exercises::event::Event;
use exercises::sync::{Condvar, Mutex, MutexGuard};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Default)]
struct Counted {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    set: bool,
    /// How often it has changed.
    times: u64,
}

impl Counted {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Event for Counted {
    fn new() -> Self {
        Counted::default()
    }

    fn set(&self) {
        let mut state = self.lock();
        state.set = true;
        state.times += 1;
        self.changed.notify_all();
    }

    fn clear(&self) {
        let mut state = self.lock();
        state.set = false;
        state.times += 1;
        self.changed.notify_all();
    }

    fn is_set(&self) -> bool {
        self.lock().set
    }

    fn wait(&self) {
        let state = self.lock();
        let before = state.times;
        let unset = |state: &mut State| !state.set && state.times == before;
        drop(self.changed.wait_while(state, unset));
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let state = self.lock();
        let before = state.times;
        let unset = |state: &mut State| !state.set && state.times == before;
        let waited = self.changed.wait_timeout_while(state, limit, unset);
        !waited.expect("no holder panics").1.timed_out()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Counted>()
}
