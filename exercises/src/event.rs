//! Exercise 7: an event, which threads wait for.

use std::process::ExitCode;
use std::time::Duration;

/// Something that happens or is the case: set, until it is cleared.
pub trait Event: Send + Sync {
    /// An event that is not set.
    fn new() -> Self;

    /// Sets the event and releases all threads that wait for it.
    fn set(&self);

    /// Clears the event: whoever waits from now on, waits.
    fn clear(&self);

    fn is_set(&self) -> bool;

    /// Returns when the event is set; at once if it is set already.
    fn wait(&self);

    /// The same, but not for longer than this: true if the event released it, false
    /// if the time was over first.
    fn wait_timeout(&self, limit: Duration) -> bool;
}

/// The `main` of exercise 7. As usual it obeys these commands, one a line:
///
/// - `wait ANNA`: prints `released ANNA` when the event has released this thread;
/// - `wait ANNA 50`: the same, or `too late ANNA` if 50 milliseconds are over first;
/// - `set`, `clear`: print `ok` when that has been done;
/// - `is_set`: prints `true` or `false`.
///
/// Each wait has a thread of its own. The program ends with its input.
#[cfg(not(feature = "explore"))]
pub fn main<E: Event + 'static>() -> ExitCode {
    use crate::console::{commands, detach};
    use std::sync::Arc;

    let event = Arc::new(E::new());
    commands("wait NAME [MILLISECONDS], set, clear, is_set", move |words| {
        let event = Arc::clone(&event);
        match *words {
            ["wait", name] => {
                let name = name.to_owned();
                detach("wait", move || {
                    event.wait();
                    println!("released {name}");
                });
            }
            ["wait", name, limit] => {
                let Ok(limit) = limit.parse() else { return false };
                let name = name.to_owned();
                detach("wait", move || {
                    let released = event.wait_timeout(Duration::from_millis(limit));
                    let word = if released { "released" } else { "too late" };
                    println!("{word} {name}");
                });
            }
            ["set"] => {
                event.set();
                println!("ok");
            }
            ["clear"] => {
                event.clear();
                println!("ok");
            }
            ["is_set"] => println!("{}", event.is_set()),
            _ => return false,
        }
        true
    })
}

#[cfg(feature = "explore")]
pub use explored::main;

#[cfg(feature = "explore")]
mod explored {
    use super::{Duration, Event, ExitCode};
    use crate::explore::scenario::{
        Scenario, State, Task, call, join, promise, thread, until,
    };
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    /// The `main` of exercise 7, built for exploring: see [`crate::explore::main`].
    pub fn main<E: Event + 'static>() -> ExitCode {
        crate::explore::main(&[
            Scenario {
                title: "a thread that waits while another one sets",
                play: set_once::<E>,
            },
            Scenario {
                title: "two threads that wait and one that sets and clears",
                play: pulse::<E>,
            },
            Scenario {
                title: "a thread that waits twice, one that sets and clears twice",
                play: two_pulses::<E>,
            },
            Scenario {
                title: "a thread that waits with a timeout while another one sets",
                play: timeout::<E>,
            },
        ])
    }

    fn set_once<E: Event + 'static>() {
        let event = Arc::new(E::new());
        waiters(&event, &["the waiter"]);
        thread("the setter", move || call("set()", || event.set()));
        join(|threads| {
            let name = &waiting(threads)?.name;
            let seen = format!("the event is set, and {name} waits for it");
            Some(("lost-wake-up", seen))
        });
    }

    fn pulse<E: Event + 'static>() {
        let event = Arc::new(E::new());
        waiters(&event, &["waiter 1", "waiter 2"]);
        thread("the setter", move || {
            until(|threads| {
                threads.iter().filter(|task| task.sleeps()).count() == 2
            });
            call("set()", || event.set());
            call("clear()", || event.clear());
        });
        join(missed);
    }

    fn two_pulses<E: Event + 'static>() {
        let event = Arc::new(E::new());
        thread("the waiter", {
            let event = Arc::clone(&event);
            move || {
                call("wait()", || event.wait());
                call("wait() again", || event.wait());
            }
        });
        thread("the setter", move || {
            for wait in ["wait()", "wait() again"] {
                // It may have come through the second one while the event was set.
                until(|threads| {
                    threads[0].state == State::Ended
                        || threads[0].sleeps() && threads[0].is_in(wait)
                });
                call("set()", || event.set());
                call("clear()", || event.clear());
            }
        });
        join(missed);
    }

    fn timeout<E: Event + 'static>() {
        let event = Arc::new(E::new());
        let sets = Arc::new(AtomicBool::new(false));
        thread("the waiter", {
            let (event, sets) = (Arc::clone(&event), Arc::clone(&sets));
            move || {
                let limit = Duration::from_millis(50);
                let released = call("wait_timeout()", || event.wait_timeout(limit));
                let seen = "wait_timeout() says true, and nobody has set the event";
                promise(!released || sets.load(SeqCst), "true-on-timeout", seen);
            }
        });
        thread("the setter", move || {
            sets.store(true, SeqCst);
            call("set()", || event.set());
        });
        join(|_| None);
    }

    fn waiters<E: Event + 'static>(event: &Arc<E>, names: &[&str]) {
        for &name in names {
            let event = Arc::clone(event);
            thread(name, move || call("wait()", || event.wait()));
        }
    }

    /// A thread that slept when the event was set, and sleeps still.
    fn missed(threads: &[Task]) -> Option<(&'static str, String)> {
        let name = &waiting(threads)?.name;
        let seen = format!("{name} waited when the event was set, and waits still");
        Some(("missed-pulse", seen))
    }

    fn waiting(threads: &[Task]) -> Option<&Task> {
        threads.iter().find(|task| {
            task.call.as_ref().is_some_and(|call| call.starts_with("wait"))
        })
    }
}
