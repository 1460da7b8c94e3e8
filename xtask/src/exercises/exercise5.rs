use super::explored::explore;
use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Scene, Settled, Stop, Waiting};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise5",
    title: "A bounded queue",
    lesson: "10_semaphore",
    hints: &[
        "Two kinds of threads wait, and for different things: a push for room, a \
         take for an item. Who brings about what each of them waits for?",
        "A Condvar is a place to sleep. `wait` lets go of the lock, sleeps, and has \
         the lock again when it returns; anything may have happened in between, so \
         look again: `while full { items = room.wait(items)… }`.",
        "Take one Condvar for the pushes that wait and one for the takes. After a \
         push notify a take; after a take notify a push. With a single Condvar for \
         both, notify_one may wake the wrong kind, and the right one sleeps on: \
         that would need notify_all.",
        "take: lock; while there is no item wait; remove the item; let go of the \
         lock (`drop(items)`); notify; and only then call `use_it`.",
    ],
    cases: &[
        Case::new("room and order", room_and_order),
        Case::new("use overlaps", use_overlaps),
        Case { name: "all orders", explored: true, play: all_orders },
    ],
};

const UNBOUNDED: Misconception = Misconception {
    name: "unbounded",
    expected: "a push waits while there is no room",
    why: "Without a bound a fast producer fills the memory while a slow consumer \
          takes its time. The capacity of a VecDeque is no bound: it grows.",
    lesson: "10_semaphore",
};

const ASKS_AGAIN_AND_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "a thread that waits is asleep until it is woken",
    why: "Asking again and again, with or without pauses, takes processor time from \
          the very thread that is waited for. A Condvar or a semaphore lets the \
          kernel put the waiting thread to sleep, and wakes it at the right moment.",
    lesson: "10_semaphore",
};

const NEWEST_FIRST: Misconception = Misconception {
    name: "newest-first",
    expected: "items leave the queue in the order in which they came",
    why: "Taking from the end where one adds makes a stack: what came first may \
          wait for ever. A VecDeque has two ends.",
    lesson: "09_mutex",
};

const SLEEPS_WITH_LOCK: Misconception = Misconception {
    name: "sleeps-with-lock",
    expected: "who waits lets go of the lock, so that others can help it",
    why: "A thread sleeps while it holds the lock that every other thread needs. \
          Condvar::wait lets go of its mutex while it sleeps; a semaphore does not \
          know of any: take the permit first and the lock afterwards.",
    lesson: "10_semaphore",
};

const WAITS_BEFORE_LOOKING: Misconception = Misconception {
    name: "waits-before-looking",
    expected: "a push with room and a take with an item do not wait at all",
    why: "A notification reaches those that sleep at this moment and is gone. Who comes \
          later sleeps until the next one. So a thread has to look before it sleeps, \
          under the same lock.",
    lesson: "11_event",
};

const NOBODY_NOTIFIED: Misconception = Misconception {
    name: "nobody-notified",
    expected: "a take wakes a push that waits for room, and a push a take",
    why: "A thread that sleeps does not see that something has changed. Who changes \
          it has to say so.",
    lesson: "11_event",
};

const LOCK_HELD_IN_USE: Misconception = Misconception {
    name: "lock-held-in-use",
    expected: "while an item is used others take, push, and use theirs",
    why: "An item that has left the queue belongs to its taker alone; no lock is \
          needed to use it. Held all the same, it makes all threads wait for the \
          slowest. A guard lives to the end of its block, unless it is dropped.",
    lesson: "09_mutex",
};

const IF_INSTEAD_OF_WHILE: Misconception = Misconception {
    name: "if-instead-of-while",
    expected: "who has been woken looks again whether it can go on",
    why: "Between the notification and the moment when the woken thread has the \
          lock again, a third one can come and take the item, or the room. So a \
          wait belongs in a loop: `while`, not `if`, or Condvar::wait_while.",
    lesson: "10_semaphore",
};

const LOST_WAKE_UP: Misconception = Misconception {
    name: "lost-wake-up",
    expected: "no thread sleeps while it could go on",
    why: "notify_one wakes one of those that wait there, any of them. If it was one \
          that could not go on it went back to sleep, and the notification was used \
          up. A notification that nobody waits for is lost too. Let those that wait \
          for different things wait in different places, or wake them all.",
    lesson: "11_event",
};

const LOCK_LET_GO_BETWEEN: Misconception = Misconception {
    name: "lock-let-go-between",
    expected: "looking for room and adding the item happen under one lock",
    why: "What was true under the lock need not be true after it was let go. Each \
          call of lock() begins a new stay: look and act within the same one.",
    lesson: "08_race",
};

const OTHER_ITEMS: Misconception = Misconception {
    name: "other-items",
    expected: "each item that was pushed is taken once",
    why: "Two threads were at the items at the same time, or an item was dropped.",
    lesson: "08_race",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "push and take come back when there is room, or an item",
    why: "The check gives commands to `main` and reads its answers.",
    lesson: "10_semaphore",
};

fn room_and_order(scene: &mut Scene) -> Outcome {
    // Not two: to the kernel a Condvar of std that has been notified twice looks like
    // a mutex that is waited for.
    scene.start(&["3"])?;
    for push in ["push 1\n", "push 2\n", "push 3\n", "push 4\n"] {
        obey(scene, push)?;
    }
    if !said(scene, "pushed 1") {
        return Err(asleep(scene, "a push into an empty queue"));
    }
    if !said(scene, "pushed 2") || !said(scene, "pushed 3") {
        return Err(OUTPUT.seen(scene.so_far("four pushes into a queue for three")));
    }
    if said(scene, "pushed 4") {
        return Err(UNBOUNDED.seen("four items went into a queue for three"));
    }
    obey(scene, "take\n")?;
    if !said(scene, "took 1") {
        if ["took 2", "took 3", "took 4"].iter().any(|took| said(scene, took)) {
            return Err(NEWEST_FIRST
                .seen("after 1, 2, 3 and 4 were pushed, 1 was not first"));
        }
        return Err(asleep(scene, "a take from a full queue"));
    }
    if !said(scene, "pushed 4") {
        let seen = "a push waits for room; an item was taken; the push still waits";
        return Err(NOBODY_NOTIFIED.hung(seen));
    }
    for _ in 0..3 {
        obey(scene, "take\n")?;
    }
    if !["took 2", "took 3", "took 4"].iter().all(|took| said(scene, took)) {
        return Err(OUTPUT.seen(scene.so_far("four pushes and four takes")));
    }
    obey(scene, "take\n")?;
    obey(scene, "push 5\n")?;
    if !said(scene, "pushed 5") {
        return Err(asleep(scene, "a push into an empty queue"));
    }
    if !said(scene, "took 5") {
        let seen = "a take waits for an item; one was pushed; the take still waits";
        return Err(NOBODY_NOTIFIED.hung(seen));
    }
    Ok(())
}

/// Why a call that could go on does not come back.
fn asleep(scene: &Scene, call: &str) -> Stop {
    let seen = format!("{call} does not come back: {}", scene.doing());
    let any = |waiting| scene.threads().iter().any(|t| t.waiting == waiting);
    if any(Waiting::Lock) {
        SLEEPS_WITH_LOCK.hung(seen)
    } else if any(Waiting::WakeUp) {
        WAITS_BEFORE_LOOKING.hung(seen)
    } else {
        OUTPUT.hung(seen)
    }
}

fn use_overlaps(scene: &mut Scene) -> Outcome {
    scene.start(&["2"])?;
    for command in ["push 1\n", "push 2\n", "hold\n", "hold\n", "push 3\n"] {
        obey(scene, command)?;
    }
    if !said(scene, "holding 1")
        || !said(scene, "holding 2")
        || !said(scene, "pushed 3")
    {
        let seen = format!("while an item is used, {}", scene.doing());
        return Err(LOCK_HELD_IN_USE.seen(seen));
    }
    obey(scene, "release\n")?;
    if !said(scene, "took 1") || !said(scene, "took 2") {
        return Err(OUTPUT.seen(scene.so_far("two items were used")));
    }
    Ok(())
}

fn all_orders(scene: &mut Scene) -> Outcome {
    explore(
        scene,
        EXERCISE.name,
        &[
            ("woken-and-overfull", &IF_INSTEAD_OF_WHILE),
            ("woken-and-panics", &IF_INSTEAD_OF_WHILE),
            ("lost-wake-up", &LOST_WAKE_UP),
            ("overfull", &LOCK_LET_GO_BETWEEN),
            ("other-items", &OTHER_ITEMS),
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

fn said(scene: &Scene, line: &str) -> bool {
    scene.lines().iter().any(|said| said == line)
}
