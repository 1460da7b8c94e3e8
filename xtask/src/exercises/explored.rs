//! The answer of a program that was built for exploring: does it keep its promises
//! in all orders in which its threads can run?

use crate::scene::{Misconception, Outcome, Scene, Settled};
use std::hash::{BuildHasher, RandomState};

/// Lets the program explore. `known` says which misconceptions the findings of its
/// scenarios show.
pub fn explore(
    scene: &mut Scene,
    exercise: &str,
    known: &[(&str, &Misconception)],
) -> Outcome {
    // Only lines with this word are the library's: the learner's code may print too.
    let word = format!("{:016x} ", RandomState::new().hash_one(exercise));
    scene.start(&["explore"])?;
    scene.send(&format!("{word}\n"));
    scene.close_stdin();
    // It computes for a while: that is no reason to give up on it.
    if scene.wait(|_| false)? == Settled::Blocked {
        return Err(LOCKS_OF_STD.hung(scene.doing()));
    }
    let lines = scene.lines();
    let said = |key: &str| -> Vec<&str> {
        let of_key = |line| str::strip_prefix(line, &word)?.strip_prefix(key);
        lines.iter().filter_map(|line| of_key(line)).collect()
    };
    let name = match (&said("passed ")[..], &said("failed ")[..]) {
        ([_], []) => return Ok(()),
        ([], [name]) => *name,
        _ => return Err(NO_ANSWER.seen(scene.so_far("the request to explore"))),
    };
    let seen = format!(
        "with {}, in one of the orders in which they can run:\n{}\n\
         To run this order again: cargo xtask run {exercise} replay {}",
        said("scenario ").concat(),
        said("story ").join("\n"),
        said("replay ").concat(),
    );
    let shown = known.iter().chain(ANYWHERE).find(|(other, _)| *other == name);
    let misconception = shown.map_or(&NO_ANSWER, |(_, misconception)| misconception);
    Err(misconception.seen(seen))
}

/// What may be found whatever the exercise.
const ANYWHERE: &[(&str, &Misconception)] = &[
    ("panics", &PANICS),
    ("woken-and-panics", &PANICS),
    ("deadlock", &DEADLOCK),
    ("stuck", &NOBODY_WAKES),
    ("endless", &ENDLESS),
    ("spurious", &IF_INSTEAD_OF_WHILE),
];

const PANICS: Misconception = Misconception {
    name: "panics",
    expected: "no call panics, in whichever order the threads run",
    why: "What the code takes for granted does not hold in this order.",
    lesson: "09_mutex",
};

const DEADLOCK: Misconception = Misconception {
    name: "deadlock",
    expected: "every thread gets to its end, in whichever order they run",
    why: "A thread waits for a lock whose holder does not go on before that thread \
          does. Nobody outside can help them.",
    lesson: "12_deadlock",
};

const NOBODY_WAKES: Misconception = Misconception {
    name: "nobody-wakes",
    expected: "every thread gets to its end, in whichever order they run",
    why: "A thread sleeps until it is woken, and nobody who would do that is left.",
    lesson: "11_event",
};

const ENDLESS: Misconception = Misconception {
    name: "endless",
    expected: "every thread gets to its end, in whichever order they run",
    why: "At least one thread goes round and round: what it looks for does not come \
          about.",
    lesson: "11_event",
};

/// A wait returned without a reason in this run; without that nothing goes wrong.
const IF_INSTEAD_OF_WHILE: Misconception = Misconception {
    name: "if-instead-of-while",
    expected: "who is back from Condvar::wait looks again whether it can go on",
    why: "A wait may return though nobody has notified it: a spurious wake-up. POSIX \
          and std allow that, so the return says nothing; only the state under the \
          lock does. A wait belongs in a loop: `while`, not `if`, or \
          Condvar::wait_while.",
    lesson: "10_semaphore",
};

const LOCKS_OF_STD: Misconception = Misconception {
    name: "locks-of-std",
    expected: "locks, condition variables and atomics from `exercises::sync`",
    why: "Where one thread after another is let run, a thread that is really \
          blocked blocks them all. The locks of `exercises::sync` know of each \
          other; those of std and libc do not.",
    lesson: "09_mutex",
};

const NO_ANSWER: Misconception = Misconception {
    name: "no-answer",
    expected: "a `main` that is the line it was given",
    why: "That line holds the part of the check that runs inside of the program.",
    lesson: "09_mutex",
};
