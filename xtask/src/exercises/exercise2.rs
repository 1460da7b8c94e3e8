use super::{Case, Exercise};
use crate::scene::{
    Exit, Gate, Misconception, Outcome, Scene, Settled, Stop, quote,
};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise2",
    title: "Sum parts in threads, results by join",
    lesson: "03_join",
    hints: &[
        "Where can a thread leave its result, and how does the main thread know that it is there? \
         Lesson 03 shows three ways; this exercise asks for the first.",
        "`std::thread::spawn` takes a closure that may return something. `join` waits for the \
         thread's end and hands over what it returned: first start all, then join all.",
        "`join` gives a Result: an error means that the thread panicked. What `sum` returns is \
         a Result as well. Both errors mean `FILE failed`.",
        "Keep pairs of file name and JoinHandle in a Vec, in the order of the command line. Add up \
         in the main thread, after each join: then nothing is shared while the threads run.",
    ],
    cases: &[
        Case::new("results after their threads", results_after_their_threads),
        Case::new("a part that fails", a_part_that_fails),
        Case::new("nothing, and something twice", nothing_and_twice),
        Case::new("every order of instructions", every_order),
    ],
};

const ONE_AT_A_TIME: Misconception = Misconception {
    name: "one-at-a-time",
    expected: "all files are read at the same time",
    why: "A thread that is joined where it is started makes the main thread wait there: the next \
          one is not started before this one has ended.",
    lesson: "03_join",
};

const READS_BEFORE_JOIN: Misconception = Misconception {
    name: "reads-before-join",
    expected: "a sum is printed when its thread has ended",
    why: "Starting a thread does not wait for it. Before the join its result is whatever the \
          variable held at first.",
    lesson: "03_join",
};

const COMPLETION_ORDER: Misconception = Misconception {
    name: "completion-order",
    expected: "the lines come in the order of the command line",
    why: "Threads end in any order; here the last file had its data first. The main thread can \
          put that right: it joins in the order in which it wants the results.",
    lesson: "03_join",
};

const IGNORES_FAILURE: Misconception = Misconception {
    name: "ignores-failure",
    expected: "`FILE failed` for a part whose sum cannot be had, no total, and status 1",
    why: "A thread that fails has no sum. Its error comes home by join as well, if the thread \
          returns it; taken for zero, it makes the total a lie.",
    lesson: "03_join",
};

const ZERO_AS_FAILURE: Misconception = Misconception {
    name: "zero-as-failure",
    expected: "an empty file has the sum 0, and has not failed",
    why: "0 is a sum like any other, so it cannot also say that there is none. A thread can return \
          a Result or an Option, which has room for both.",
    lesson: "03_join",
};

const NAME_AS_KEY: Misconception = Misconception {
    name: "name-as-key",
    expected: "a file that is named twice counts twice",
    why: "In a map by name the second result takes the place of the first. The name does not say \
          which thread is which; the place on the command line does.",
    lesson: "03_join",
};

const UNSYNCHRONISED_GLOBAL: Misconception = Misconception {
    name: "unsynchronised-global",
    expected: "the same total whatever order the threads' instructions run in",
    why: "Adding to a shared variable takes three steps: read, add, write back. Who writes back \
          late overwrites what others have added meanwhile. (The check lets all threads go on in \
          step, one instruction each in turn; any machine may do so at any time.) Let each thread \
          return its sum and add in the main thread.",
    lesson: "08_race",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "a line `FILE SUM` or `FILE failed` for each file, then `total SUM` if none failed",
    why: "The check reads the output as another program would.",
    lesson: "03_join",
};

/// Files without content yet, each read by a thread that waits for it.
fn start_with_gates(scene: &mut Scene, names: &[&str]) -> Result<Vec<Gate>, Stop> {
    let gates =
        names.iter().map(|name| scene.gate(name)).collect::<Result<_, _>>()?;
    scene.start(names)?;
    let settled = scene.wait_for_readers(names.len())?;
    if scene.count_lines() > 0 || settled == Settled::Ended {
        return Err(
            READS_BEFORE_JOIN.seen(scene.so_far("no file had any content yet;"))
        );
    }
    if settled != Settled::Reached {
        let seen = format!(
            "{} files without content yet, and one of them is waited for",
            names.len()
        );
        return Err(ONE_AT_A_TIME.seen(seen));
    }
    Ok(gates)
}

fn results_after_their_threads(scene: &mut Scene) -> Outcome {
    let mut gates = start_with_gates(scene, &["a", "b", "c"])?;
    // All threads are seen waiting for their files.
    scene.settle()?;
    if scene.count_lines() > 0 {
        return Err(
            READS_BEFORE_JOIN.seen(scene.so_far("no file had any content yet;"))
        );
    }
    // The last file gets its content first.
    for content in ["300\n3\n", "200\n", "100\n1\n"] {
        let gate = gates.pop().expect("as many gates as contents");
        gate.open(content)?;
        scene.settle()?;
    }
    let exit = scene.finish()?;
    let expected = ["a 101", "b 200", "c 303", "total 604"];
    let lines = scene.lines();
    if lines == expected && exit == Exit::Code(0) {
        return Ok(());
    }
    let mut sorted = lines.clone();
    sorted.sort();
    Err(match sorted == expected {
        true => COMPLETION_ORDER.seen(format!("it printed {}", quote(&scene.out()))),
        false => OUTPUT.seen(scene.so_far("all files had their content")),
    })
}

fn a_part_that_fails(scene: &mut Scene) -> Outcome {
    scene.file("good", "1\n2\n")?;
    scene.file("bad", "12\ntwelve\n")?;
    scene.file("fine", "4\n")?;
    scene.start(&["good", "bad", "missing", "fine"])?;
    let exit = scene.finish()?;
    let lines = scene.lines();
    if lines == ["good 3", "bad failed", "missing failed", "fine 4"]
        && exit == Exit::Code(1)
    {
        return Ok(());
    }
    let seen = scene.so_far("one file held a word and one was missing;");
    let told = lines.iter().filter(|line| line.ends_with(" failed")).count();
    Err(
        match told < 2
            || exit == Exit::Code(0)
            || lines.iter().any(|l| l.starts_with("total"))
        {
            true => IGNORES_FAILURE.seen(seen),
            false => OUTPUT.seen(seen),
        },
    )
}

fn nothing_and_twice(scene: &mut Scene) -> Outcome {
    scene.file("some", "5\n")?;
    scene.file("empty", "")?;
    scene.start(&["some", "empty", "some"])?;
    let exit = scene.finish()?;
    let lines = scene.lines();
    if lines == ["some 5", "empty 0", "some 5", "total 10"] && exit == Exit::Code(0)
    {
        return Ok(());
    }
    let seen =
        scene.so_far("`some` held 5, `empty` nothing, and `some` was named twice;");
    let printed = |text: &str| lines.iter().filter(|line| *line == text).count();
    Err(if printed("empty failed") > 0 {
        ZERO_AS_FAILURE.seen(seen)
    } else if printed("some 5") < 2 || printed("total 5") > 0 {
        NAME_AS_KEY.seen(seen)
    } else {
        OUTPUT.seen(seen)
    })
}

fn every_order(scene: &mut Scene) -> Outcome {
    const PARTS: u64 = 3;
    let names: Vec<String> = (0..PARTS).map(|n| format!("part{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gates = start_with_gates(scene, &names)?;
    scene.in_slow_motion(|_| {
        (100..)
            .zip(gates)
            .try_for_each(|(n, gate): (u64, _)| gate.open(&format!("{n}\n")))
    })?;
    scene.finish()?;
    let total: u64 = (100..100 + PARTS).sum();
    let last = scene.lines().last().cloned().unwrap_or_default();
    if last != format!("total {total}") {
        let seen =
            format!("{PARTS} parts that make {total}; it printed {}", quote(&last));
        return Err(UNSYNCHRONISED_GLOBAL.seen(seen));
    }
    Ok(())
}
