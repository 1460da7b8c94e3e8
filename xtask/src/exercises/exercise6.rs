use super::explored::explore;
use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Scene, Settled};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise6",
    title: "Threads that speak in turn",
    lesson: "10_semaphore",
    hints: &[
        "With a permit a semaphore keeps others out; without one it makes a thread \
         wait for another. Which of the two is an order?",
        "A semaphore does not choose among those that wait for it. If thread 1 and \
         no other is to be next, then only thread 1 may wait at the semaphore that \
         is posted.",
        "Take one semaphore for each thread: it waits at its own and posts the next \
         one's. All of them together hold one permit: whose is it at the beginning?",
        "turn: self.turns[who].wait(); let said = say(); self.turns[(who + 1) % \
         self.turns.len()].post(); said. With `say()?` in the middle the post would \
         be left out when it fails.",
    ],
    cases: &[
        // First: only here a thread that sleeps is told from one that does not wait.
        Case { name: "all orders", explored: true, play: all_orders },
        Case::new("who waits for whom", who_waits_for_whom),
    ],
};

const ONE_SEMAPHORE: Misconception = Misconception {
    name: "one-semaphore",
    expected: "the threads speak in the order of their numbers",
    why: "Several threads wait at the same semaphore, and a permit goes to any of \
          them. One semaphore can say that somebody may go on, not who.",
    lesson: "10_semaphore",
};

const OUT_OF_TURN: Misconception = Misconception {
    name: "out-of-turn",
    expected: "the threads speak in the order of their numbers",
    why: "More than one thread could go on. In the beginning there is one turn, so \
          there is one permit, at the semaphore of the first thread.",
    lesson: "10_semaphore",
};

const SLEEPS: Misconception = Misconception {
    name: "sleeps",
    expected: "the threads speak in the order of their numbers",
    why: "A sleep says how long a thread rests at least, and nothing of what others \
          do meanwhile. On a busy machine, or when a word takes long, it is over \
          too early. Order comes from waiting for each other.",
    lesson: "10_semaphore",
};

const PERMIT_LEAKS: Misconception = Misconception {
    name: "permit-leaks",
    expected: "a thread that fails to speak hands on its turn all the same",
    why: "On the way where `say` fails the turn is not handed on: the next thread waits \
          for ever, or the one that failed has the turn again. What was taken must be \
          handed on, on every way out of the function; `?` is one.",
    lesson: "10_semaphore",
};

const HANDS_ON_TOO_EARLY: Misconception = Misconception {
    name: "hands-on-too-early",
    expected: "a thread speaks when the one before it has finished",
    why: "With the post the next thread can go on, at once. What has to come before \
          it must be done before the post.",
    lesson: "10_semaphore",
};

const NOBODY_BEGINS: Misconception = Misconception {
    name: "nobody-begins",
    expected: "every thread gets its turns",
    why: "All threads wait for a permit, and only a thread that has had one would \
          post. The first permit has to be there from the beginning.",
    lesson: "10_semaphore",
};

const OTHER_RESULT: Misconception = Misconception {
    name: "other-result",
    expected: "`turn` returns what `say` returned",
    why: "Who takes a turn wants to know whether it was able to speak.",
    lesson: "10_semaphore",
};

const ASKS_AGAIN_AND_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "a thread that waits for its turn is asleep",
    why: "Asking again and again, with or without pauses, takes processor time from \
          the very thread that is waited for. A semaphore lets the kernel put the \
          waiting thread to sleep, and wakes it at the right moment.",
    lesson: "10_semaphore",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "each thread speaks when it is its turn",
    why: "The check gives commands to `main` and reads its answers.",
    lesson: "10_semaphore",
};

fn all_orders(scene: &mut Scene) -> Outcome {
    explore(
        scene,
        EXERCISE.name,
        &[
            ("one-semaphore", &ONE_SEMAPHORE),
            ("out-of-turn", &OUT_OF_TURN),
            ("sleeps", &SLEEPS),
            ("permit-leaks", &PERMIT_LEAKS),
            ("hands-on-too-early", &HANDS_ON_TOO_EARLY),
            ("nobody-begins", &NOBODY_BEGINS),
            ("other-result", &OTHER_RESULT),
        ],
    )
}

fn who_waits_for_whom(scene: &mut Scene) -> Outcome {
    scene.start(&["3"])?;
    let mut expected: Vec<&str> = Vec::new();
    for (command, said) in [
        ("say 2 c", &[][..]),
        ("hold 0", &["0: well"]),
        ("say 1 b", &[]),
        ("release", &["0: that is all", "1: b", "2: c"]),
        ("fail 0", &["0: nothing"]),
        ("say 2 f", &[]),
        ("say 1 e", &["1: e", "2: f"]),
    ] {
        obey(scene, command)?;
        expected.extend(said);
        if scene.lines() != expected {
            return Err(OUTPUT.seen(scene.so_far(&format!("`{command}`"))));
        }
    }
    Ok(())
}

/// Gives a command and waits until everybody sleeps.
fn obey(scene: &mut Scene, command: &str) -> Outcome {
    scene.send(&format!("{command}\n"));
    match scene.settle()? {
        Settled::Busy => Err(ASKS_AGAIN_AND_AGAIN.seen(scene.doing())),
        _ => Ok(()),
    }
}
