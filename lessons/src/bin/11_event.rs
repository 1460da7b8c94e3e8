//! What does a late waiter see?
//!
//! An event is a state: once set, it lets all pass, early or late, until cleared.
//! A signal on a bare condition variable is a moment: who comes later sees nothing.
//! Predict: three threads wait. An event is set and cleared at once. Who wakes up?
//! Neighbours: 10_semaphore, 12_deadlock.

use lessons::{observe, proc, prove, step, until};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);

fn main() -> anyhow::Result<()> {
    lessons::open("What does a late waiter see?");
    let event = &Event::default();

    step("Set. Only then does somebody wait.");
    event.set();
    event.wait();
    let set = (event.is_set(), event.wait_timeout(SHORT));
    observe("set: is_set, wait", format!("{set:?}"));
    event.clear();
    let cleared = (event.is_set(), event.wait_timeout(SHORT));
    observe("cleared: is_set, wait", format!("{cleared:?}"));
    prove("set, it lets the late one pass", set == (true, true))?;
    prove("cleared, the wait ends by its timeout", cleared == (false, false))?;

    step("Three wait. Then: set.");
    let [asleep, released] = three_wait(event, || event.set())?;
    observe("asleep in futex", asleep);
    observe("released", released);
    observe("is_set", event.is_set());
    prove("set releases all, and stays", released == 3 && event.is_set())?;
    event.clear();

    step("Three wait. Then a pulse: set, and clear at once.");
    let [asleep, released] = three_wait(event, || {
        event.set();
        event.clear();
    })?;
    let late = event.wait_timeout(SHORT);
    observe("asleep in futex", asleep);
    observe("released", released);
    observe("a late one is released", late);
    prove("a pulse releases all who waited", released == 3 && !event.is_set())?;
    prove("who comes after it sees nothing of it", !late)?;

    step("A bare Condvar: the signal first. Only then does somebody wait.");
    static LOCK: Mutex<()> = Mutex::new(());
    static SIGNAL: Condvar = Condvar::new();
    SIGNAL.notify_all();
    let waiter = thread::spawn(|| {
        let guard = LOCK.lock().expect("no holder panics");
        drop(SIGNAL.wait(guard));
    });
    until("it waits", || Ok(proc::asleep_on(&SIGNAL)?.len() == 1))?;
    let asleep = proc::asleep_on(&SIGNAL)?.len();
    observe("asleep in futex", asleep);
    prove("a signal sent too early is lost", asleep == 1)?;
    SIGNAL.notify_all();
    prove("a new one wakes it", waiter.join().is_ok())
}

/// How many slept until the release, and how many it released.
fn three_wait(event: &Event, release: impl Fn()) -> anyhow::Result<[usize; 2]> {
    let (mut asleep, released) = (0, AtomicUsize::new(0));
    thread::scope(|scope| {
        let wait = || released.fetch_add(event.wait_timeout(LONG).into(), SeqCst);
        (0..3).for_each(|_| drop(scope.spawn(wait)));
        let waits = until("three wait", || {
            asleep = proc::asleep_on(&event.changed)?.len();
            Ok(asleep == 3)
        });
        release();
        waits
    })?;
    Ok([asleep, released.into_inner()])
}

#[derive(Default)]
struct Event {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    set: bool,
    /// How often it was set: after a pulse, `set` is false again, but this is not.
    generation: u64,
}

impl Event {
    fn set(&self) {
        let mut state = self.lock();
        state.set = true;
        state.generation += 1;
        self.changed.notify_all();
    }

    fn clear(&self) {
        self.lock().set = false;
    }

    fn is_set(&self) -> bool {
        self.lock().set
    }

    fn wait(&self) {
        self.wait_timeout(Duration::MAX);
    }

    /// Whether it was set before the time was up.
    fn wait_timeout(&self, limit: Duration) -> bool {
        let state = self.lock();
        let before = state.generation;
        let unset = |state: &mut State| !state.set && state.generation == before;
        let waited = self.changed.wait_timeout_while(state, limit, unset);
        !waited.expect("no holder panics").1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}
