//! Believes that it is enough to count those that may go on: any thread may be one.

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
    waiting: usize,
    /// How many of them may go on.
    released: usize,
}

impl State {
    /// One that waits goes on.
    fn leave(&mut self) {
        self.waiting -= 1;
        self.released = self.released.saturating_sub(1);
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
        state.set = true;
        state.released = state.waiting;
        self.changed.notify_all();
    }

    fn clear(&self) {
        self.lock().set = false;
    }

    fn is_set(&self) -> bool {
        self.lock().set
    }

    fn wait(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        let unset = |state: &mut State| !state.set && state.released == 0;
        let state = self.changed.wait_while(state, unset);
        state.expect("no holder panics").leave();
    }

    fn wait_timeout(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        let unset = |state: &mut State| !state.set && state.released == 0;
        let waited = self.changed.wait_timeout_while(state, limit, unset);
        let (mut state, result) = waited.expect("no holder panics");
        state.leave();
        !result.timed_out()
    }
}

fn main() -> ExitCode {
    exercises::event::main::<Counted>()
}
