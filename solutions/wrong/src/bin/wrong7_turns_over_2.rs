//! Believes that nobody sets an event that is set.

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
    /// How often it has been set or cleared: it is set after an odd number of times.
    times: u64,
}

impl State {
    fn set(&self) -> bool {
        self.times % 2 == 1
    }
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
        state.times += 1;
        self.changed.notify_all();
    }

    fn clear(&self) {
        let mut state = self.lock();
        state.times += u64::from(state.set());
    }

    fn is_set(&self) -> bool {
        self.lock().set()
    }

    fn wait(&self) {
        let state = self.lock();
        let before = state.times;
        let unset = |state: &mut State| !state.set() && state.times == before;
        drop(self.changed.wait_while(state, unset));
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let state = self.lock();
        let before = state.times;
        let unset = |state: &mut State| !state.set() && state.times == before;
        let waited = self.changed.wait_timeout_while(state, limit, unset);
        !waited.expect("no holder panics").1.timed_out()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Counted>()
}
