//! Exercise 7: an event, which threads wait for.

use std::process::ExitCode;
use std::time::Duration;

/// Something that happens or is the case: set, until it is cleared.
pub trait Event: Send + Sync {
    /// An event that is not set.
    fn new() -> Self;

    /// Sets the event and releases all threads that wait for it.
    fn set(&self);

    /// Clears the event: whoever waits from now on, waits. Releases nobody.
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
        LONG_LIMIT, Scenario, State, Task, broken, call, join, pause, thread,
        timed_out_in_call, until,
    };
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// The `main` of exercise 7, built for exploring: see [`crate::explore::main`].
    pub fn main<E: Event + 'static>() -> ExitCode {
        crate::explore::main(&[
            Scenario {
                title: "a thread that waits while another one sets",
                play: || {
                    let watched = Watched::<E>::new();
                    watched.waiter("the waiter", &[Wait::ForEver("wait()")]);
                    watched.setter(|watched| watched.set());
                    join(|threads| {
                        let name = &waiting(threads)?.name;
                        let seen =
                            format!("the event is set, and {name} waits for it");
                        Some(("lost-wake-up", seen))
                    });
                },
            },
            Scenario {
                title: "two threads that wait and one that sets and clears",
                play: || {
                    let watched = Watched::<E>::new();
                    watched.waiter("waiter 1", &[Wait::ForEver("wait()")]);
                    watched.waiter("waiter 2", &[Wait::ForEver("wait()")]);
                    watched.setter(pulse);
                    join(missed);
                },
            },
            Scenario {
                title: "a thread that waits twice, one that sets and clears twice",
                play: two_pulses::<E>,
            },
            Scenario {
                title: "a thread that waits with a timeout, one that clears and sets",
                play: || {
                    let watched = Watched::<E>::new();
                    watched.waiter("the waiter", &[Wait::For(SHORT)]);
                    watched.setter(|watched| {
                        watched.clear();
                        pause();
                        watched.set();
                    });
                    join(|_| None);
                },
            },
            Scenario {
                title: "one that waits, one with a timeout, one that sets and clears",
                play: || {
                    let limit = Duration::from_secs(3600);
                    let watched = Watched::<E>::new();
                    watched.waiter("waiter 1", &[Wait::ForEver("wait()")]);
                    watched.waiter("waiter 2", &[Wait::For(limit)]);
                    watched.setter(pulse);
                    join(missed);
                },
            },
            Scenario {
                title: "one that waits, one that sets and clears, two that come late",
                play: late_waiter::<E>,
            },
        ])
    }

    /// This may be over at any moment.
    const SHORT: Duration = Duration::from_millis(50);

    fn two_pulses<E: Event + 'static>() {
        const WAITS: [&str; 2] = ["wait()", "wait() again"];
        let watched = Watched::<E>::new();
        watched.waiter("the waiter", &WAITS.map(Wait::ForEver));
        watched.setter(|watched| {
            for wait in WAITS {
                // It may have come through the second one while the event was set.
                until(|threads| {
                    threads[0].state == State::Ended
                        || threads[0].sleeps() && threads[0].is_in(wait)
                });
                watched.set();
                watched.clear();
            }
        });
        join(missed);
    }

    /// Who comes when the event has been cleared must not take what another one
    /// was given.
    fn late_waiter<E: Event + 'static>() {
        const LATE: usize = 1;
        let watched = Watched::<E>::new();
        watched.waiter("the waiter", &[Wait::ForEver("wait()")]);
        let late = [Wait::ForEver("wait()"), Wait::For(SHORT)];
        for (number, wait) in (1..).zip(late) {
            let watched = watched.clone();
            thread(format!("late waiter {number}"), move || {
                until(|_| watched.books.cleared.load(SeqCst) > 0);
                watched.wait(wait);
            });
        }
        watched.setter(|watched| {
            until(|threads| threads[0].sleeps());
            watched.set();
            watched.clear();
            until(|threads| threads[LATE].sleeps());
            watched.set();
        });
        join(missed);
    }

    /// Sets and clears when all that wait are asleep.
    fn pulse<E: Event>(watched: &Watched<E>) {
        until(|threads| {
            let (_setter, waiters) = threads.split_last().expect("there are three");
            waiters.iter().all(|task| task.sleeps() || task.state == State::Ended)
        });
        watched.set();
        watched.clear();
    }

    #[derive(Clone, Copy)]
    enum Wait {
        /// A call of wait, under this name in the story.
        ForEver(&'static str),
        /// A call of wait_timeout.
        For(Duration),
    }

    /// An event, and what is known about it from outside.
    struct Watched<E> {
        event: Arc<E>,
        books: Arc<Books>,
    }

    #[derive(Default)]
    struct Books {
        /// How many calls of set have begun.
        sets: AtomicUsize,
        /// How many of them had begun when the last clear that has returned was
        /// called.
        cleared: AtomicUsize,
        /// How many calls of clear have begun.
        clears: AtomicUsize,
    }

    impl<E> Clone for Watched<E> {
        fn clone(&self) -> Self {
            let (event, books) = (Arc::clone(&self.event), Arc::clone(&self.books));
            Watched { event, books }
        }
    }

    impl<E: Event + 'static> Watched<E> {
        fn new() -> Self {
            Watched { event: Arc::new(E::new()), books: Arc::default() }
        }

        fn waiter(&self, name: &str, waits: &[Wait]) {
            let (watched, waits) = (self.clone(), waits.to_vec());
            thread(name, move || waits.iter().for_each(|&wait| watched.wait(wait)));
        }

        fn setter(&self, play: impl FnOnce(&Self) + Send + 'static) {
            let watched = self.clone();
            thread("the setter", move || play(&watched));
        }
    }

    impl<E: Event> Watched<E> {
        fn set(&self) {
            self.books.sets.fetch_add(1, SeqCst);
            call("set()", || self.event.set());
        }

        fn clear(&self) {
            let sets = self.books.sets.load(SeqCst);
            self.books.clears.fetch_add(1, SeqCst);
            call("clear()", || self.event.clear());
            self.books.cleared.store(sets, SeqCst);
        }

        fn wait(&self, wait: Wait) {
            let cleared = self.books.cleared.load(SeqCst);
            let (name, released) = match wait {
                Wait::ForEver(name) => {
                    call(name, || self.event.wait());
                    (name, true)
                }
                Wait::For(limit) => {
                    const NAME: &str = "wait_timeout()";
                    (NAME, call(NAME, || self.event.wait_timeout(limit)))
                }
            };
            let sets = self.books.sets.load(SeqCst);
            // Of those that had not been cleared before this call.
            let was_set = sets > cleared;
            if released && !was_set {
                let back = match wait {
                    Wait::ForEver(_) => format!("{name} came back"),
                    Wait::For(_) => format!("{name} says true"),
                };
                self.went_on(wait, back);
            }
            match wait {
                Wait::For(limit) if limit >= LONG_LIMIT && was_set && !released => {
                    let (name, seen) = match timed_out_in_call() {
                        true => (
                            "wait-timeout-misses-pulse",
                            "the event was set in time, and wait_timeout() slept on",
                        ),
                        false => (
                            "false-on-set",
                            "the event released wait_timeout(), and it says false",
                        ),
                    };
                    broken(name, seen);
                }
                _ => {}
            }
        }

        /// A wait came back as if the event had released it, and it had not.
        fn went_on(&self, wait: Wait, back: String) -> ! {
            if self.books.sets.load(SeqCst) > 0 {
                let seen = format!("{back}, and the event was clear when it came");
                broken("stays-set", seen);
            }
            let seen = format!("{back}, and nobody has set the event");
            let name = match wait {
                _ if self.books.clears.load(SeqCst) > 0 => "clear-releases",
                Wait::ForEver(_) => "does-not-wait",
                Wait::For(_) => "true-on-timeout",
            };
            broken(name, seen)
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
