use super::explored::explore;
use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Scene, Settled, Waiting};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise7",
    title: "An event: set, clear, wait",
    lesson: "11_event",
    hints: &[
        "An event is a state, a notification is a moment. What must a thread look \
         at before it sleeps, and what after it was woken?",
        "A flag under a Mutex and a Condvar do for all but one thing: `set` and \
         then `clear` at once. The woken thread gets the lock when the flag is \
         false again. How can it know that it was true?",
        "Count how often the event has been set, next to the flag, under the same \
         lock. A waiter remembers the count that it found when it came.",
        "wait: lock; let before = state.times; while !state.set && state.times == \
         before { state = changed.wait(state)… }. wait_timeout is the same with \
         wait_timeout_while, whose second result says whether the time was over.",
    ],
    cases: &[
        Case::new("early and late", early_and_late),
        Case::new("timeouts", timeouts),
        Case { name: "all orders", explored: true, play: all_orders },
    ],
};

const DOES_NOT_WAIT: Misconception = Misconception {
    name: "does-not-wait",
    expected: "a thread waits as long as the event is not set",
    why: "Nothing has set the event, and the thread went on.",
    lesson: "11_event",
};

const ASKS_AGAIN_AND_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "a thread that waits is asleep until the event is set",
    why: "Asking again and again, with or without pauses, takes processor time from \
          the very thread that is waited for. A Condvar lets the kernel put the \
          waiting thread to sleep, and wakes it at the right moment.",
    lesson: "11_event",
};

const WAKES_ONLY_ONE: Misconception = Misconception {
    name: "wakes-only-one",
    expected: "`set` releases all threads that wait",
    why: "notify_one wakes one of those that sleep. An event is for everybody: \
          notify_all.",
    lesson: "11_event",
};

const NOBODY_NOTIFIED: Misconception = Misconception {
    name: "nobody-notified",
    expected: "`set` releases all threads that wait",
    why: "A thread that sleeps does not see that something has changed. Who changes \
          it has to say so.",
    lesson: "11_event",
};

const LATE_WAITER_BLOCKS: Misconception = Misconception {
    name: "late-waiter-blocks",
    expected: "who comes when the event is set does not wait at all",
    why: "A notification reaches those that sleep at this moment and is gone. So a \
          thread has to look at the state before it sleeps, under the same lock.",
    lesson: "11_event",
};

const STAYS_SET: Misconception = Misconception {
    name: "stays-set",
    expected: "who comes when the event has been cleared waits for the next set",
    why: "An event keeps no permits: what was set and cleared before a thread came \
          does not concern it. A semaphore would let it pass, perhaps in the place of a \
          thread that was there in time.",
    lesson: "10_semaphore",
};

const CLEAR_RELEASES: Misconception = Misconception {
    name: "clear-releases",
    expected: "`clear` releases nobody",
    why: "Only `set` releases those that wait. What tells a waiter that the event has \
          been set must be changed by `set` alone: if `clear` changes it as well, a \
          waiter takes a clear for a set.",
    lesson: "11_event",
};

const TURNS_OVER: Misconception = Misconception {
    name: "turns-over",
    expected: "`clear` on an event that is not set, and `set` on one that is, leave \
               it as it is",
    why: "`set` and `clear` say what holds from now on. A change that turns the state \
          over is right only if the state was the other one: look at it first, \
          under the same lock.",
    lesson: "11_event",
};

const TRUE_ON_TIMEOUT: Misconception = Misconception {
    name: "true-on-timeout",
    expected: "`wait_timeout` says false if the time was over first",
    why: "A wait with a timeout comes back in two cases, and the caller needs to \
          know in which. Its WaitTimeoutResult says so.",
    lesson: "11_event",
};

const FALSE_ON_SET: Misconception = Misconception {
    name: "false-on-set",
    expected: "`wait_timeout` says true if the event released it",
    why: "The time was not over, and the event had been set. Whether it is set now is \
          another question: somebody may have cleared it in the meantime.",
    lesson: "11_event",
};

const IGNORES_LIMIT: Misconception = Misconception {
    name: "ignores-limit",
    expected: "`wait_timeout` comes back when its time is over",
    why: "A Condvar has two ways to sleep: wait, which only a notification ends, \
          and wait_timeout.",
    lesson: "11_event",
};

const SLEEPS_TO_THE_END: Misconception = Misconception {
    name: "sleeps-to-the-end",
    expected: "`wait_timeout` comes back when the event is set, not only in the end",
    why: "A thread in sleep() cannot be woken: it looks again when all of the time \
          is over. A Condvar's wait_timeout ends with whatever comes first.",
    lesson: "11_event",
};

const MISSED_PULSE: Misconception = Misconception {
    name: "missed-pulse",
    expected: "`set` releases all that wait, even if `clear` follows at once",
    why: "A woken thread needs the lock before it can look, and by then the event \
          may be cleared again. The flag alone cannot tell it that it was set: \
          something has to remember it.",
    lesson: "11_event",
};

const WAIT_TIMEOUT_MISSES_PULSE: Misconception = Misconception {
    name: "wait-timeout-misses-pulse",
    expected: "`set` releases those in `wait_timeout`, too, even if `clear` follows at \
               once",
    why: "A woken thread needs the lock before it can look, and by then the event \
          may be cleared again. `wait` has something that remembers the `set`; \
          `wait_timeout` needs the same.",
    lesson: "11_event",
};

const IF_INSTEAD_OF_WHILE: Misconception = Misconception {
    name: "if-instead-of-while",
    expected: "a wait that returns was preceded by a set",
    why: "Condvar::wait may return though nobody has notified: a spurious wake-up, \
          which POSIX and std allow. So the return says nothing; only the state under \
          the lock does. A wait belongs in a loop: `while`, not `if`, or \
          Condvar::wait_while.",
    lesson: "10_semaphore",
};

const LOST_WAKE_UP: Misconception = Misconception {
    name: "lost-wake-up",
    expected: "no thread waits while the event is set",
    why: "The thread looked, and saw that the event was not set; then it was set, \
          and nobody was there to be notified; then the thread went to sleep. \
          Looking and going to sleep must be one step for the one that sets: both \
          sides under the same lock.",
    lesson: "11_event",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "`is_set` says what was done last, set or clear",
    why: "The check gives commands to `main` and reads its answers.",
    lesson: "11_event",
};

fn early_and_late(scene: &mut Scene) -> Outcome {
    scene.start(&[])?;
    for name in ["ANNA", "BERT", "CARL"] {
        obey(scene, &format!("wait {name}\n"))?;
    }
    if released(scene, &["ANNA", "BERT", "CARL"]) > 0 {
        return Err(DOES_NOT_WAIT.seen("`wait` came back before any `set`"));
    }
    obey(scene, "clear\n")?;
    if released(scene, &["ANNA", "BERT", "CARL"]) > 0 {
        let seen =
            "three waited; nobody has set the event, and `clear` released some";
        return Err(CLEAR_RELEASES.seen(seen));
    }
    obey(scene, "is_set\n")?;
    if said(scene, "true") {
        let seen =
            "the event was not set; then it was cleared, and `is_set` says true";
        return Err(TURNS_OVER.seen(seen));
    }
    obey(scene, "set\n")?;
    obey(scene, "is_set\n")?;
    match released(scene, &["ANNA", "BERT", "CARL"]) {
        0 => {
            return Err(
                NOBODY_NOTIFIED.hung("three wait; after `set` three wait still")
            );
        }
        3 => {}
        n => {
            let seen = format!("three waited; `set` released {n} of them");
            return Err(WAKES_ONLY_ONE.hung(seen));
        }
    }
    obey(scene, "wait DORA\n")?;
    if released(scene, &["DORA"]) == 0 {
        return Err(
            LATE_WAITER_BLOCKS.hung("the event was set; then one came, and waits")
        );
    }
    obey(scene, "set\n")?;
    obey(scene, "is_set\n")?;
    if answers(scene) == ["false", "true", "false"] {
        let seen =
            "the event was set; then it was set again, and `is_set` says false";
        return Err(TURNS_OVER.seen(seen));
    }
    obey(scene, "clear\n")?;
    obey(scene, "is_set\n")?;
    obey(scene, "wait EMIL\n")?;
    if released(scene, &["EMIL"]) > 0 {
        let seen = "the event was set, and cleared; then one came, and did not wait";
        return Err(STAYS_SET.seen(seen));
    }
    obey(scene, "set\n")?;
    if released(scene, &["EMIL"]) == 0 {
        return Err(
            NOBODY_NOTIFIED.hung("the event was set again; the one waits still")
        );
    }
    if answers(scene) != ["false", "true", "true", "false"] {
        let asked = "clear, is_set, set, is_set, set, is_set, clear, is_set";
        return Err(OUTPUT.seen(scene.so_far(asked)));
    }
    Ok(())
}

fn timeouts(scene: &mut Scene) -> Outcome {
    /// An hour: nobody waits for the end of that.
    const LONG: &str = "3600000";
    scene.start(&[])?;
    obey(scene, "wait ANNA 20\n")?;
    if said(scene, "released ANNA") {
        let seen = "nobody has set the event, and wait_timeout said true";
        return Err(TRUE_ON_TIMEOUT.seen(seen));
    }
    if !said(scene, "too late ANNA") {
        let seen = format!("20 milliseconds are over, and {}", scene.doing());
        return Err(IGNORES_LIMIT.hung(seen));
    }
    scene.send(&format!("wait BERT {LONG}\n"));
    scene.wait(|scene| {
        scene.threads().iter().any(|thread| thread.waiting == Waiting::Time)
    })?;
    if said(scene, "too late BERT") || said(scene, "released BERT") {
        let seen =
            "nobody had set the event, wait_timeout had an hour, and it came back";
        return Err(DOES_NOT_WAIT.seen(seen));
    }
    scene.send("set\n");
    if scene.settle()? == Settled::Busy {
        let seen = format!("the event was set, and {}", scene.doing());
        return Err(SLEEPS_TO_THE_END.hung(seen));
    }
    if !said(scene, "released BERT") {
        return Err(
            FALSE_ON_SET.seen(scene.so_far("wait_timeout and `set`, in time"))
        );
    }
    scene.send(&format!("wait CARL {LONG}\n"));
    if scene.settle()? == Settled::Busy {
        let seen = format!("the event was set before, and {}", scene.doing());
        return Err(SLEEPS_TO_THE_END.hung(seen));
    }
    if !said(scene, "released CARL") {
        return Err(FALSE_ON_SET.seen(scene.so_far("`set` and wait_timeout")));
    }
    Ok(())
}

fn all_orders(scene: &mut Scene) -> Outcome {
    explore(
        scene,
        EXERCISE.name,
        &[
            ("spurious", &IF_INSTEAD_OF_WHILE),
            ("does-not-wait", &DOES_NOT_WAIT),
            ("lost-wake-up", &LOST_WAKE_UP),
            ("missed-pulse", &MISSED_PULSE),
            ("stays-set", &STAYS_SET),
            ("clear-releases", &CLEAR_RELEASES),
            ("true-on-timeout", &TRUE_ON_TIMEOUT),
            ("wait-timeout-misses-pulse", &WAIT_TIMEOUT_MISSES_PULSE),
            ("false-on-set", &FALSE_ON_SET),
        ],
    )
}

/// Gives a command and waits until everybody sleeps.
fn obey(scene: &mut Scene, command: &str) -> Outcome {
    scene.send(command);
    match scene.settle()? {
        Settled::Busy => Err(ASKS_AGAIN_AND_AGAIN.seen(scene.doing())),
        _ => Ok(()),
    }
}

/// What `is_set` has said so far.
fn answers(scene: &Scene) -> Vec<String> {
    scene.lines().into_iter().filter(|l| l == "true" || l == "false").collect()
}

/// How many of these the event has released.
fn released(scene: &Scene, names: &[&str]) -> usize {
    names.iter().filter(|name| said(scene, &format!("released {name}"))).count()
}

fn said(scene: &Scene, line: &str) -> bool {
    scene.lines().iter().any(|said| said == line)
}
