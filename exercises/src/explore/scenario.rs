//! A scenario: a few threads that use the learner's type, and what they may expect
//! of it.
//!
//! ```text
//! fn hand_over<Q: BoundedQueue<u32> + 'static>() {
//!     let queue = Arc::new(Q::new(1));
//!     let pushed = Arc::clone(&queue);
//!     thread("the producer", move || call("push(7)", || pushed.push(7)));
//!     thread("the consumer", move || {
//!         let item = call("take", || queue.take(|item| item));
//!         promise(item == 7, "other-items", "another item came out");
//!     });
//!     join(|_| None);
//! }
//! ```

use super::world::{self, Ending};
pub use super::world::{Act, Event, LONG_LIMIT, State, Task, Thing, Who};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// One scenario.
pub struct Scenario {
    /// For people, as in "two producers and two consumers share a queue for one
    /// item".
    pub title: &'static str,
    pub play: fn(),
}

/// Starts a thread of the scenario. It runs when the scenario calls [`join`].
pub fn thread(name: impl Into<String>, body: impl FnOnce() + Send + 'static) {
    let task = Task { name: name.into(), ..Task::default() };
    world::with(|world| world.tasks.push(task));
    shuttle::thread::spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            world::stop(Ending::Panic(world::with(|world| world.current())));
        }
        world::with(|world| world.me().state = State::Ended);
    });
}

/// Waits until all threads have ended. If they get stuck instead, `if_stuck` may say
/// what this shows, by the finding's name and what was seen.
pub fn join(if_stuck: impl Fn(&[Task]) -> Option<(&'static str, String)> + 'static) {
    world::with(|world| world.if_stuck = Some(Box::new(if_stuck)));
    world::rest(State::Joins);
}

/// Calls the learner's code, and lets the story say so.
pub fn call<R>(what: impl Into<String>, f: impl FnOnce() -> R) -> R {
    let what = what.into();
    world::with(|world| world.me().call = Some(what.clone()));
    world::record(Act::Calls(what.clone()), None);
    let result = f();
    world::with(|world| world.me().call = None);
    world::record(Act::Returns(what), None);
    result
}

/// A place in the scenario's own code where another thread may come in between.
pub fn pause() {
    world::crossroads();
}

/// Ends the run: a promise is broken. The name of the finding, and what was seen.
pub fn broken(name: &'static str, seen: impl Into<String>) -> ! {
    world::stop(Ending::Broken(name, seen.into()));
}

/// Ends the run unless the promise holds.
pub fn promise(holds: bool, name: &'static str, seen: impl Into<String>) {
    if !holds {
        broken(name, seen);
    }
}

/// Lets the others run until this holds of the threads. If none of them can go on
/// before it does, they are stuck.
pub fn until(holds: impl Fn(&[Task]) -> bool) {
    while !world::with(|world| holds(&world.tasks[1..])) {
        if world::with(|world| world.is_left_alone()) {
            world::stop(Ending::Stuck);
        }
        world::rest(State::Yields);
    }
}

/// Looks at all that has happened so far; the second argument is the current thread.
pub fn look<R>(at: impl FnOnce(&[Event], Who) -> R) -> R {
    world::with(|world| at(&world.events, world.current()))
}

/// Whether the current thread has been woken from sleep since its last call.
pub fn woken_in_call() -> bool {
    world::with(|world| world.woken_in_call())
}

/// Whether the time of the current thread's last call was over while it slept.
pub fn timed_out_in_call() -> bool {
    world::with(|world| world.timed_out_in_call())
}

/// The body of a run.
pub(super) fn run(play: fn()) {
    static HOOK: Once = Once::new();
    // Shuttle has set its own by now, which prints.
    HOOK.call_once(|| std::panic::set_hook(Box::new(note_panic)));
    play();
    world::with(|world| world.me().state = State::Ended);
}

fn note_panic(info: &std::panic::PanicHookInfo) {
    let place = info.location().map(|at| format!(" (line {})", at.line()));
    let message = info.payload_as_str().unwrap_or("a panic").to_owned();
    world::note_panic(format!("{message}{}", place.unwrap_or_default()));
}
