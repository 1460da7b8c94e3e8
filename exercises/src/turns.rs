//! Exercise 6: threads that speak in turn.

use std::process::ExitCode;

/// The order in which some threads, numbered from 0, speak: 0, 1, 2, …, 0, 1, 2, …
pub trait Turns: Send + Sync {
    /// For so many threads.
    fn new(threads: usize) -> Self;

    /// Waits until it is the turn of thread `who`, calls `say`, hands the turn to the
    /// next thread, whether `say` succeeded or not, and returns its result.
    fn turn<E>(
        &self,
        who: usize,
        say: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E>;
}

/// The `main` of exercise 6. As usual it obeys these commands, one a line, with the
/// number of threads as the program's argument (3 without):
///
/// - `say 1 hello`: thread 1 takes its turn and prints `1: hello`;
/// - `fail 1`: thread 1 takes its turn, prints `1: nothing`, and its `say` is an
///   error;
/// - `hold 1`: thread 1 takes its turn, prints `1: well` and goes on speaking until
///   `release`; then it prints `1: that is all`;
/// - `release`.
///
/// Each turn has a thread of its own. The program ends with its input.
#[cfg(not(feature = "explore"))]
pub fn main<T: Turns + 'static>() -> ExitCode {
    use crate::console::{Gate, commands, detach};
    use std::sync::Arc;

    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(3);
    let turns = Arc::new(T::new(threads));
    let gate = Arc::new(Gate::default());
    commands("say WHO WORD, fail WHO, hold WHO, release", move |words| {
        let (turns, gate) = (Arc::clone(&turns), Arc::clone(&gate));
        let who = words.get(1).and_then(|who| who.parse().ok());
        let who = who.filter(|&who: &usize| who < threads);
        match (words, who) {
            (["say", _, word], Some(who)) => {
                let word = (*word).to_owned();
                detach("say", move || {
                    // It cannot fail: printing panics instead.
                    let _ = turns.turn(who, || {
                        println!("{who}: {word}");
                        Ok::<(), ()>(())
                    });
                });
            }
            (["fail", _], Some(who)) => detach("fail", move || {
                let _ = turns.turn(who, || {
                    println!("{who}: nothing");
                    Err(())
                });
            }),
            (["hold", _], Some(who)) => detach("hold", move || {
                let _ = turns.turn(who, || {
                    println!("{who}: well");
                    gate.pass();
                    println!("{who}: that is all");
                    Ok::<(), ()>(())
                });
            }),
            (["release"], None) => gate.open(),
            _ => return false,
        }
        true
    })
}

#[cfg(feature = "explore")]
pub use explored::main;

#[cfg(feature = "explore")]
mod explored {
    use super::{ExitCode, Turns};
    use crate::explore::scenario::{
        Act, Event, Scenario, Thing, Who, broken, call, join, look, pause, promise,
        thread,
    };
    use std::sync::{Arc, Mutex};

    /// The `main` of exercise 6, built for exploring: see [`crate::explore::main`].
    pub fn main<T: Turns + 'static>() -> ExitCode {
        crate::explore::main(&[
            Scenario {
                title: "three threads, two rounds",
                play: || play::<T>(3, 2, None),
            },
            Scenario {
                title: "three threads, two rounds; one that fails in the first",
                play: || play::<T>(3, 2, Some(1)),
            },
            Scenario {
                title: "two threads, three rounds",
                play: || play::<T>(2, 3, None),
            },
        ])
    }

    /// What has been said so far, from outside.
    #[derive(Clone, Copy, Default)]
    struct Minutes {
        said: usize,
        speaking: Option<usize>,
        /// The last one to speak failed.
        failed: bool,
    }

    fn play<T: Turns + 'static>(
        threads: usize,
        rounds: usize,
        fails: Option<usize>,
    ) {
        let turns = Arc::new(T::new(threads));
        let minutes = Arc::new(Mutex::new(Minutes::default()));
        for who in 0..threads {
            let (turns, minutes) = (Arc::clone(&turns), Arc::clone(&minutes));
            thread(format!("thread {who}"), move || {
                for round in 0..rounds {
                    let fails = round == 0 && fails == Some(who);
                    let say = || speak(&minutes, threads, who, fails);
                    let said = call(format!("turn({who})"), || turns.turn(who, say));
                    let seen = "turn() did not return what say() returned";
                    promise(said.is_err() == fails, "other-result", seen);
                }
            });
        }
        join(move |_| stuck(&*minutes.lock().ok()?));
    }

    fn speak(
        minutes: &Mutex<Minutes>,
        threads: usize,
        who: usize,
        fails: bool,
    ) -> Result<(), ()> {
        let minutes = || minutes.lock().expect("a panic would end the run");
        let now = *minutes();
        if let Some(other) = now.speaking {
            let seen =
                format!("thread {who} speaks while thread {other} still does");
            broken("hands-on-too-early", seen);
        }
        let next = now.said % threads;
        if now.failed && (who + 1) % threads == next {
            let seen =
                format!("thread {who} failed to speak, and then speaks again");
            broken("permit-leaks", seen);
        }
        if who != next {
            let seen =
                format!("thread {who} speaks, and it is thread {next}'s turn");
            broken(look(out_of_turn), seen);
        }
        minutes().speaking = Some(who);
        pause();
        *minutes() = Minutes { said: now.said + 1, speaking: None, failed: fails };
        if fails { Err(()) } else { Ok(()) }
    }

    /// How the thread `me` came to speak out of turn.
    fn out_of_turn(events: &[Event], me: Who) -> &'static str {
        if events.iter().any(|event| event.act == Act::Sleeps) {
            return "sleeps";
        }
        // The permit that let it speak was meant for another thread if others take
        // theirs from the same semaphore, or if it has posted it itself.
        let own = events.iter().rev().filter(|event| event.who == me);
        let Some(permit) = own.map(|event| &event.act).find_map(permit_of) else {
            return "out-of-turn";
        };
        let shared = |event: &Event| match event.act {
            Act::Posts(semaphore) => event.who == me && semaphore == permit,
            _ => event.who != me && permit_of(&event.act) == Some(permit),
        };
        if events.iter().any(shared) { "one-semaphore" } else { "out-of-turn" }
    }

    fn permit_of(act: &Act) -> Option<Thing> {
        match act {
            Act::TakesPermit(semaphore) | Act::WaitsForPermit(semaphore) => {
                Some(*semaphore)
            }
            _ => None,
        }
    }

    /// Why nobody speaks any more.
    fn stuck(minutes: &Minutes) -> Option<(&'static str, String)> {
        let (name, seen) = match minutes {
            Minutes { said: 0, .. } => {
                ("nobody-begins", "all wait for their first turn")
            }
            Minutes { failed: true, .. } => {
                ("permit-leaks", "one failed to speak, and the next waits for ever")
            }
            _ => return None,
        };
        Some((name, seen.to_owned()))
    }
}
