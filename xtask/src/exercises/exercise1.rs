use super::{Case, Exercise};
use crate::scene::{Exit, Misconception, Outcome, Scene, Settled, Waiting, quote};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise1",
    title: "Hand N numbers to N threads",
    lesson: "02_params",
    hints: &[
        "What does the new thread get: the number, or the place where the number stands? And \
         what stands in that place when the thread comes to look? Lesson 02 shows all cases.",
        "Two loops are needed: one that starts all threads and keeps their handles, and one that \
         joins them. A join inside the first loop waits for the thread before the next one starts.",
        "`std::thread::spawn(move || visit(number))`: with `move` the closure owns its number.",
        "Collect the JoinHandles in a Vec. Then, for each, `join()`; then print `joined N`.",
    ],
    cases: &[
        Case::new("every number arrives", every_number_arrives),
        Case::new("none", none),
    ],
};

const SHARED_VARIABLE: Misconception = Misconception {
    name: "shared-variable",
    expected: "each number arrives in one thread",
    why: "The threads were handed the place of a variable and not a number of their own. When \
          they came to look, the loop had already put another number there. (The check lets new \
          threads wait until the main thread rests; any machine may do so at any time.)",
    lesson: "02_params",
};

const JOINS_IN_LOOP: Misconception = Misconception {
    name: "joins-in-loop",
    expected: "all threads are alive at the same time",
    why: "The main thread waits for each thread before it starts the next one, so nothing \
          overlaps. Start all of them first, then join all of them.",
    lesson: "03_join",
};

const ONE_THREAD: Misconception = Misconception {
    name: "one-thread",
    expected: "a thread of its own for each number",
    why: "One thread goes through several numbers, one after the other: it cannot come to the next \
          before the visit with the first is over.",
    lesson: "01_create",
};

const LOCK_HELD_IN_VISIT: Misconception = Misconception {
    name: "lock-held-in-visit",
    expected: "all threads are in their visits at the same time",
    why: "The threads are there, and wait for a lock that one of them holds during its visit. A \
          guard in the head of an `if let`, `while let` or `match` lives to the end of the block: \
          take the number in a statement of its own. Who is handed its number needs no lock.",
    lesson: "09_mutex",
};

const MAIN_TAKES_PART: Misconception = Misconception {
    name: "main-takes-part",
    expected: "a thread of its own for each number, beside the main thread",
    why: "The main thread makes a visit itself. Meanwhile it can neither start nor join others.",
    lesson: "01_create",
};

const NEVER_JOINS: Misconception = Misconception {
    name: "never-joins",
    expected: "the program goes on until all its threads have ended",
    why: "When main returns the process ends, and its threads with it, whether they have begun or \
          not. Only a join waits for them.",
    lesson: "01_create",
};

const NUMBER_AS_KEY: Misconception = Misconception {
    name: "number-as-key",
    expected: "two equal numbers are handed to two threads, and both are joined",
    why: "The numbers say nothing about which thread is which: the same one may be given twice. In \
          a map or a set by number the second takes the place of the first, whose handle is then \
          dropped: nobody joins that thread.",
    lesson: "02_params",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "`got NUMBER` for each number, at last `joined N`, and status 0",
    why: "The check reads the output as another program would.",
    lesson: "02_params",
};

fn every_number_arrives(scene: &mut Scene) -> Outcome {
    let mut numbers: Vec<String> =
        (0..20).map(|n| (n * n + 3).to_string()).collect();
    // The same number twice is two numbers.
    numbers.push(numbers[0].clone());
    let args: Vec<&str> = numbers.iter().map(String::as_str).collect();
    scene.start_with_late_threads(&args)?;
    let settled = scene.settle()?;
    let (lines, threads) = (scene.lines(), scene.threads());
    if settled == Settled::Ended {
        let what = format!("{} threads should have begun", numbers.len());
        return Err(NEVER_JOINS.seen(scene.so_far(&what)));
    }
    let mut different = args.clone();
    different.sort_unstable();
    different.dedup();
    let given = format!(
        "{} numbers were given, {} of them twice; it printed",
        numbers.len(),
        args[0]
    );
    let mut arrived: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("got ")).collect();
    arrived.sort_unstable();
    if arrived == different {
        let seen = format!("{given} `got {}` once", args[0]);
        return Err(NUMBER_AS_KEY.seen(seen));
    }
    if lines.len() < numbers.len() {
        let seen = format!(
            "{} of {} numbers arrived; the program is at rest and has {} beside the main one",
            lines.len(),
            numbers.len(),
            match threads.len().saturating_sub(1) {
                0 => "no thread".to_owned(),
                1 => "one thread".to_owned(),
                n => format!("{n} threads"),
            }
        );
        // Both mistakes look alike now. Who joins in the loop starts the next thread later.
        let before = scene.threads_born();
        scene.close_stdin();
        scene.settle()?;
        if scene.threads_born() > before {
            return Err(JOINS_IN_LOOP.seen(seen));
        }
        // In its visit a thread may wait for the lock of standard input; one of them reads.
        let wait = threads.iter().filter(|t| t.waiting == Waiting::Lock).count();
        return Err(match wait >= lines.len().max(1) {
            true => LOCK_HELD_IN_VISIT
                .seen(format!("{seen}; {wait} of them wait for a lock")),
            false => ONE_THREAD.seen(seen),
        });
    }
    let mut expected = args.clone();
    expected.sort_unstable();
    if arrived.len() != lines.len() {
        return Err(OUTPUT.seen(format!("it has printed {}", quote(&scene.out()))));
    }
    if arrived != expected {
        return Err(SHARED_VARIABLE.seen(compare(&args, &arrived)));
    }
    // More than that may be there: somebody who starts and joins the others, say.
    if threads.len() <= numbers.len() {
        let others = threads.len().saturating_sub(1);
        let seen = format!("{} numbers in {others} threads", numbers.len());
        return Err(MAIN_TAKES_PART.seen(seen));
    }
    let exit = scene.finish()?;
    let joined = |count: usize| format!("joined {count}");
    if scene.lines().last() == Some(&joined(different.len())) {
        let seen = format!("{given} `{}`", joined(different.len()));
        return Err(NUMBER_AS_KEY.seen(seen));
    }
    let last = joined(numbers.len());
    if scene.lines().last() != Some(&last) || exit != Exit::Code(0) {
        return Err(
            OUTPUT.seen(scene.so_far("all numbers and the end of its input"))
        );
    }
    Ok(())
}

fn none(scene: &mut Scene) -> Outcome {
    scene.start(&[])?;
    let exit = scene.finish()?;
    if scene.lines() != ["joined 0"] || exit != Exit::Code(0) {
        return Err(OUTPUT.seen(scene.so_far("no number at all")));
    }
    Ok(())
}

/// Which numbers came too often, and which did not come.
fn compare(expected: &[&str], arrived: &[&str]) -> String {
    let times =
        |all: &[&str], number: &str| all.iter().filter(|&&n| n == number).count();
    let mut seen = Vec::new();
    let mut known: Vec<&str> = arrived.to_vec();
    known.dedup();
    for number in known {
        let (given, came) = (times(expected, number), times(arrived, number));
        if came > given {
            seen.push(format!(
                "{number} was given {} and arrived {came} times",
                once(given)
            ));
        }
    }
    let missing =
        expected.iter().filter(|number| times(arrived, number) == 0).count();
    seen.push(format!("{missing} of {} numbers did not arrive", expected.len()));
    seen.join("; ")
}

fn once(times: usize) -> String {
    match times {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}
