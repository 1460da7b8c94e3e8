use super::{Case, Exercise};
use crate::scene::{
    Exit, Gate, Misconception, Outcome, Scene, Settled, Stop, Waiting,
};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise4",
    title: "Stop a worker cleanly, its last work saved",
    lesson: "06_cancel",
    hints: &[
        "Who may end a thread? Only the thread itself can know that its work is \
         whole. So main does not end the worker: it tells it that no more items \
         come, and waits for its end.",
        "At `stop` the worker is in one of two places: at work, or asleep because \
         there is no item. A flag reaches it in the first only. What it sleeps on \
         must also bring the news.",
        "Hand over the items through std::sync::mpsc::channel. It ends when the \
         last sender is dropped, which wakes a receiver that waits; but the \
         receiver still gets every item that was sent before.",
        "The worker: `for item in receiver { results.push(work(&item)); }`, and \
         after the loop `save`. main at `stop`: drop the sender, then join, then \
         print. Keep both in an Option and `take` them: the end of the input asks \
         for the same, unless it was done before.",
    ],
    cases: &[
        Case::new("stop while at work", stop_while_at_work),
        Case::new("stop while waiting", stop_while_waiting),
        Case::new("stop with a queue", stop_with_a_queue),
        Case::new("end without stop", end_without_stop),
    ],
};

const NOBODY_LISTENS: Misconception = Misconception {
    name: "nobody-listens",
    expected: "main reads its input while the worker is at work",
    why: "Who works, or waits for another to finish its work, does not read. So \
          nobody could be told to stop before there is nothing left to stop.",
    lesson: "03_join",
};

const BOUNDED_HAND_OVER: Misconception = Misconception {
    name: "bounded-hand-over",
    expected: "main reads its input, however many items wait for the worker",
    why: "Between main and the worker there is room for so many items only. When it is \
          full main waits until the worker has taken one, which may take long, and \
          meanwhile it hears nothing. std::sync::mpsc::channel has no bound.",
    lesson: "03_join",
};

const HOLDS_THE_LOCK: Misconception = Misconception {
    name: "holds-the-lock",
    expected: "the worker holds no lock that main needs while it works",
    why: "The queue is locked for as long as an item takes, and main waits for the lock \
          instead of listening. A guard lives to the end of its block; one in the head \
          of a `match`, `if let` or `while let` to the end of all of that. Take the \
          item out in a `let` of its own, then work.",
    lesson: "09_mutex",
};

const SAVES_TOO_EARLY: Misconception = Misconception {
    name: "saves-too-early",
    expected: "the worker keeps the results in memory and saves them once, after the \
               last item",
    why: "Saving can take long as well, and meanwhile the worker does not work. Saved \
          after each item, the same results are written again and again.",
    lesson: "06_cancel",
};

const CANCEL_LOSES_SAVE: Misconception = Misconception {
    name: "cancel-loses-save",
    expected: "the worker finishes the item that it is at, then saves",
    why: "A cancelled thread ends where it happens to wait; nothing that comes \
          after that is done. What it had in memory is not in the file, and its \
          item is neither done nor undone.",
    lesson: "06_cancel",
};

const CANCEL_ABORTS: Misconception = Misconception {
    name: "cancel-aborts",
    expected: "the worker finishes the item that it is at, then saves",
    why: "pthread_cancel unwinds the thread's stack by force. Rust's standard \
          library does not let such an unwinding through, neither out of its calls \
          nor out of its threads: the whole process is aborted.",
    lesson: "06_cancel",
};

const LAST_WORK_LOST: Misconception = Misconception {
    name: "last-work-lost",
    expected: "the results are saved after the last item is done",
    why: "At `stop` the worker may have an item in hand, whose result is not in \
          memory yet. Only the worker knows when it is; main can know by waiting \
          for the worker's end.",
    lesson: "03_join",
};

const DOES_NOT_WAIT: Misconception = Misconception {
    name: "does-not-wait",
    expected: "main prints `stopped` when the worker has ended",
    why: "To tell a thread to stop takes no time; to stop it takes as long as the \
          thread needs. main must wait for its end: join it.",
    lesson: "03_join",
};

const STOPPED_BEFORE_SAVED: Misconception = Misconception {
    name: "stopped-before-saved",
    expected: "main prints `stopped` when all results are in the file",
    why: "main did wait, but for something that comes before the save. If the \
          process ended now the work would be lost. The worker's end comes after \
          everything: join it.",
    lesson: "03_join",
};

const SENDER_KEPT: Misconception = Misconception {
    name: "sender-kept",
    expected: "the worker that has done its last item saves and ends",
    why: "Nothing has told the worker that this item was the last, so it waits for \
          the next one, and main waits for the worker. A channel ends when its \
          last sender is dropped, clones included; a pipe when its last writer is \
          closed.",
    lesson: "06_cancel",
};

const WORKER_LIVES_ON: Misconception = Misconception {
    name: "worker-lives-on",
    expected: "the worker has ended when main prints `stopped`",
    why: "The worker has only said that it is done. Then it went back to wait for an \
          item, which never comes, and keeps what it has. A thread ends by returning \
          from its function, and join waits for that.",
    lesson: "03_join",
};

const MAIN_SAVES: Misconception = Misconception {
    name: "main-saves",
    expected: "the worker saves its results before it ends",
    why: "main has taken the results over from the worker and saves them itself. \
          Saving is work, too, and can take long: it belongs to the thread that works, \
          and main only waits for the end of that.",
    lesson: "06_cancel",
};

const SAVES_TWICE: Misconception = Misconception {
    name: "saves-twice",
    expected: "`save` is called once, after the last item",
    why: "All results were in FILE, and then they were written again. Writing a file \
          begins by emptying it: who reads it at that moment finds less than there \
          was. Who saves must know whether it has been done before.",
    lesson: "06_cancel",
};

const FLAG_ALONE: Misconception = Misconception {
    name: "flag-alone",
    expected: "a worker that waits for an item hears `stop`",
    why: "The worker sleeps until an item comes. Before that it does not look at \
          any flag, and a flag wakes nobody. Send the news the way the items come, \
          or wake the worker after setting the flag.",
    lesson: "06_cancel",
};

const NOT_SAVED: Misconception = Misconception {
    name: "not-saved",
    expected: "at `stop`, or at the end of the input without it, all results are \
               saved",
    why: "The worker ended on a way that does not lead through the save. The end \
          of a channel is no error to leave the function with: it is the moment to \
          save. Errors that end a thread are in what join returns; nobody sees \
          them who does not look there.",
    lesson: "03_join",
};

const EXIT_ENDS_PROCESS: Misconception = Misconception {
    name: "exit-ends-process",
    expected: "the worker ends and the program lives on, until the end of its \
               input",
    why: "exit ends the process with all its threads, whichever of them calls it. \
          A thread ends by returning from its function.",
    lesson: "05_exit",
};

const MANY_WORKERS: Misconception = Misconception {
    name: "many-workers",
    expected: "one worker does one item after the other, in the order of the input",
    why: "With a thread for each item the last can be done first, and a long queue \
          is a great many threads. One thread that takes its items from a queue \
          keeps the order.",
    lesson: "01_create",
};

const QUEUE_DROPPED: Misconception = Misconception {
    name: "queue-dropped",
    expected: "`stop` counts from where it stands in the input: items before it \
               are done",
    why: "A flag overtakes the items that are still in the queue, and the worker \
          left them there. Whoever handed them over counts on them. Look at the \
          flag only when the queue is empty, or let the news stand in the queue \
          behind the last item.",
    lesson: "06_cancel",
};

const MAIN_RETURNS_FIRST: Misconception = Misconception {
    name: "main-returns-first",
    expected: "at the end of its input the program stops the worker first, as at \
               `stop`",
    why: "When main returns the process ends and all its threads with it, finished \
          or not. Input can end without `stop`; the worker must be told and joined \
          on that way too.",
    lesson: "01_create",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "a line `NAME: N bytes` for each item, then `stopped`, then `bye` at \
               the end of the input, status 0; the lines of the items also in FILE",
    why: "The check reads the output and FILE as another program would.",
    lesson: "06_cancel",
};

/// An item is in hand, nothing is queued; saving takes long as well.
fn stop_while_at_work(scene: &mut Scene) -> Outcome {
    let slow = scene.gate("slow")?;
    scene.file("quick", "12345")?;
    let mut saved = scene.full_gate("saved")?;
    scene.start(&["saved"])?;
    scene.send("quick\nslow\n");
    let at_work = is_at_work(scene, &slow);
    scene.settle()?;
    if scene.waiting_at(&saved) > 0 {
        let seen = "`stop` had not come yet, and somebody was writing the results";
        return Err(SAVES_TOO_EARLY.seen(seen));
    }
    at_work?;

    let threads = scene.threads().len();
    scene.send("stop\n");
    let at_work = "`stop` came while `slow` was being read, which had no data yet";
    match scene.settle() {
        Err(_) if scene.err().contains("exception not rethrown") => {
            return Err(
                CANCEL_ABORTS.seen(format!("{at_work}; the process was aborted"))
            );
        }
        Ok(Settled::Ended) => {
            return Err(
                EXIT_ENDS_PROCESS.seen(format!("{at_work}; the process ended"))
            );
        }
        settled => settled?,
    };
    main_needs_no_lock(scene, &slow, "`stop` came")?;
    if scene.unread_input() > 0 {
        let doing = scene.doing();
        return Err(
            NOBODY_LISTENS.seen(format!("{at_work}, and nobody read it: {doing}"))
        );
    }
    if scene.waiting_at(&saved) > 0 {
        return Err(LAST_WORK_LOST.seen(format!("{at_work}; saving began at once")));
    }
    if scene.waiting_at(&slow) == 0 {
        let seen = format!("{at_work}; now nobody reads it, and nothing was saved");
        return Err(CANCEL_LOSES_SAVE.seen(seen));
    }
    if says_stopped(scene) {
        let seen = format!("{at_work}; it still was when `stopped` was printed");
        return Err(DOES_NOT_WAIT.seen(seen));
    }

    slow.open("abc")?;
    lives_on(scene, "the last item was done")?;
    let done = scene.lines().iter().any(|line| line == "slow: 3 bytes");
    match (done, scene.waiting_at(&saved), says_stopped(scene)) {
        (false, ..) => return Err(OUTPUT.seen(scene.so_far("the item `slow`"))),
        (true, 0, true) => {
            let seen =
                "after the last item `stopped` was printed; nothing was saved";
            return Err(NOT_SAVED.seen(seen));
        }
        (true, 0, false) => return Err(SENDER_KEPT.hung(scene.doing())),
        (true, _, true) => {
            let seen = "`stopped` was printed while the file still took no data";
            return Err(STOPPED_BEFORE_SAVED.seen(seen));
        }
        (true, _, false) => {}
    }

    let mut content = saved.take()?;
    lives_on(scene, "the results were saved")?;
    content += &saved.take()?;
    if says_stopped(scene) && scene.threads().len() >= threads {
        let seen = format!("after `stopped` {}", scene.doing());
        return Err(WORKER_LIVES_ON.seen(seen));
    }
    let results = ["quick: 5 bytes", "slow: 3 bytes"];
    if content.lines().eq([results, results].concat()) {
        return Err(
            SAVES_TWICE.seen("`stop` came, and the results were saved twice")
        );
    }
    all_is_well(scene, &content, &results)?;
    if !saved.take()?.is_empty() {
        let seen =
            "the results were saved at `stop`, and again at the end of the input";
        return Err(SAVES_TWICE.seen(seen));
    }
    Ok(())
}

/// The worker waits for the next item.
fn stop_while_waiting(scene: &mut Scene) -> Outcome {
    scene.file("quick", "12345")?;
    scene.start(&["saved"])?;
    scene.send("quick\n");
    scene.wait(|s| s.count_lines() == 1)?;
    lives_on(scene, "the worker had done its item")?;
    scene.send("stop\n");
    lives_on(scene, "`stop` came while the worker was waiting for an item")?;
    if !says_stopped(scene) {
        return Err(FLAG_ALONE.hung(scene.doing()));
    }
    all_is_well(scene, &saved(), &["quick: 5 bytes"])
}

/// An item is in hand and many are queued.
fn stop_with_a_queue(scene: &mut Scene) -> Outcome {
    let slow = scene.gate("slow")?;
    scene.file("quick", "12345")?;
    scene.file("brief", "1")?;
    scene.start(&["saved"])?;
    scene.send("slow\n");
    is_at_work(scene, &slow)?;
    let threads = scene.threads().len();
    const ROUNDS: usize = 50;
    scene.send(&"quick\nbrief\n".repeat(ROUNDS));
    lives_on(scene, "more items came while the worker was at work")?;
    // Not before: main is to come back to its input with nothing there yet.
    scene.send("stop\n");
    lives_on(scene, "`stop` came while the worker was at work")?;
    main_needs_no_lock(scene, &slow, "more items came")?;
    if scene.unread_input() > 0 && scene.waiting_at(&slow) > 0 {
        let seen = format!(
            "a hundred more items came while `slow` was being read, then `stop`, and \
             nobody read that: {}",
            scene.doing()
        );
        return Err(BOUNDED_HAND_OVER.seen(seen));
    }
    if scene.count_lines() > 0 && scene.waiting_at(&slow) > 0 {
        let seen = "items after `slow` were done while `slow` was still being read";
        return Err(MANY_WORKERS.seen(seen));
    }
    let more = scene.threads().len().saturating_sub(threads);
    if more >= ROUNDS {
        let seen = format!(
            "a hundred more items came while `slow` was being read, and {more} threads \
             with them"
        );
        return Err(MANY_WORKERS.seen(seen));
    }
    slow.open("abc")?;
    lives_on(scene, "the worker had done the item at hand")?;
    let content = saved();
    if says_stopped(scene) && content == "slow: 3 bytes\n" {
        return Err(QUEUE_DROPPED.seen(
            "`stop` came while the worker was reading `slow` and more items were \
             queued; only the result of `slow` was saved",
        ));
    }
    let mut all = vec!["slow: 3 bytes"];
    all.extend(["quick: 5 bytes", "brief: 1 bytes"].repeat(ROUNDS));
    all_is_well(scene, &content, &all)
}

/// The input ends while an item is in hand.
fn end_without_stop(scene: &mut Scene) -> Outcome {
    let slow = scene.gate("slow")?;
    let mut saved = scene.full_gate("saved")?;
    scene.start(&["saved"])?;
    scene.send("slow\n");
    is_at_work(scene, &slow)?;
    scene.close_stdin();
    if scene.settle()? == Settled::Ended {
        return Err(MAIN_RETURNS_FIRST.seen(
            "its input ended and so did the process, while the worker was still at \
             work",
        ));
    }
    slow.open("abc")?;
    scene.settle()?;
    if scene.waiting_at(&saved) > 0
        && matches!(main_waits(scene), Some(Waiting::Write(_)))
    {
        let seen = format!("while the results are being saved {}", scene.doing());
        return Err(MAIN_SAVES.seen(seen));
    }
    let mut content = saved.take()?;
    scene.settle()?;
    content += &saved.take()?;
    all_is_well(scene, &content, &["slow: 3 bytes"])
}

/// What the main thread waits for.
fn main_waits(scene: &Scene) -> Option<Waiting> {
    scene.threads().first().map(|main| main.waiting)
}

/// While the worker is at work main goes on whatever comes.
fn main_needs_no_lock(scene: &Scene, slow: &Gate, after: &str) -> Outcome {
    if main_waits(scene) != Some(Waiting::Lock) || scene.waiting_at(slow) == 0 {
        return Ok(());
    }
    let doing = scene.doing();
    let seen = format!("{after} while `slow` was being read, and {doing}");
    Err(HOLDS_THE_LOCK.seen(seen))
}

/// Waits until somebody reads the item, which has no data yet.
fn is_at_work(scene: &mut Scene, item: &Gate) -> Outcome {
    match scene.wait(|s| s.waiting_at(item) > 0)? {
        Settled::Reached => Ok(()),
        _ => {
            Err(OUTPUT
                .seen(scene.so_far("the item `slow`") + "; nobody reads `slow`"))
        }
    }
}

/// Waits until the program is at rest. It must not end: its input goes on.
fn lives_on(scene: &mut Scene, after: &str) -> Outcome {
    match scene.settle()? {
        Settled::Ended => Err(EXIT_ENDS_PROCESS.seen(format!(
            "{after}, and the process ended, though its input had not"
        ))),
        _ => Ok(()),
    }
}

fn says_stopped(scene: &Scene) -> bool {
    scene.lines().iter().any(|line| line == "stopped")
}

/// The content of the file that the program was to write.
fn saved() -> String {
    std::fs::read("saved")
        .map(|content| String::from_utf8_lossy(&content).into_owned())
        .unwrap_or_default()
}

/// Ends the program's input; looks at all that it has printed and saved.
fn all_is_well(
    scene: &mut Scene,
    saved: &str,
    results: &[&str],
) -> Result<(), Stop> {
    let exit = scene.finish()?;
    if saved.is_empty() {
        return Err(
            NOT_SAVED.seen(scene.so_far("all items") + "; nothing was saved")
        );
    }
    if saved.lines().ne(results.iter().copied()) {
        let quoted = crate::scene::quote(saved);
        return Err(OUTPUT.seen(format!("it has saved {quoted}")));
    }
    let expected = [results, &["stopped", "bye"]].concat();
    if scene.lines() != expected || exit != Exit::Code(0) {
        return Err(OUTPUT.seen(scene.so_far("all items and the end of its input")));
    }
    Ok(())
}
