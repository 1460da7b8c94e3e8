use super::{Case, Exercise};
use crate::scene::{Exit, Gate, Misconception, Outcome, Scene, Settled, Stop};
use lessons::proc::Bytes;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise3",
    title: "Ten thousand short threads in flat memory",
    lesson: "04_detach",
    hints: &[
        "What does a thread leave behind when it ends, and who may clear it away? Lesson 04 counts \
         it for 64 threads; here there are 10,000.",
        "For every thread decide one of two things: somebody joins it soon after its end, or \
         it is detached. A JoinHandle that is dropped is a detached thread.",
        "Keep the JoinHandles. `is_finished` says whether a join would come back at once: before \
         each new job join those that are finished, and let the others be. On `wait`, and at the \
         end of the input, join all that are left.",
        "`handles.retain(|handle| !handle.is_finished())`, then push the new handle: a finished \
         thread whose handle is dropped is freed as well. On `wait`: `for handle in \
         handles.drain(..) { handle.join() … }`, then `idle`. Whoever detaches all threads \
         instead has to count the jobs under a lock, and to count a job before its thread is \
         started.",
    ],
    cases: &[
        Case::new("wait waits", wait_waits),
        Case::new("jobs overlap", jobs_overlap),
        Case::new("wait waits for all", wait_waits_for_all),
        Case::new("ten at once", ten_at_once),
        Case::new("memory stays flat", memory_stays_flat),
    ],
};

const ONE_AT_A_TIME: Misconception = Misconception {
    name: "one-at-a-time",
    expected: "a job that takes long does not hold up the next one",
    why: "Joining a thread right after starting it makes the program wait for that thread, so \
          there is never more than one at work. The same happens without any thread.",
    lesson: "03_join",
};

const FEW_THREADS: Misconception = Misconception {
    name: "few-threads",
    expected: "a new thread for each job, however many are at work",
    why: "A fixed number of threads that take one job after the other is a pool. As many slow jobs \
          as it has threads hold up all that come after them.",
    lesson: "01_create",
};

const IDLE_TOO_EARLY: Misconception = Misconception {
    name: "idle-too-early",
    expected: "`wait` answers `idle` when all jobs so far are done",
    why: "Nobody waited for the thread. A dropped JoinHandle detaches its thread, which nobody \
          can join any more. And pthread_join on a detached thread waits for nothing: glibc \
          returns EINVAL at once, and once the thread has ended the call is undefined. Who \
          detaches a thread needs another way to learn of its end.",
    lesson: "04_detach",
};

const WAITS_FOR_ONE: Misconception = Misconception {
    name: "waits-for-one",
    expected: "`wait` answers `idle` when all jobs so far are done, whichever is done last",
    why: "One end was taken for all. Join every thread that is left (`while let` or `for`, not \
          `if let`). Who waits to be told looks again after each wake-up, whether jobs are left: \
          `while`, not `if`.",
    lesson: "03_join",
};

const COUNTED_TOO_LATE: Misconception = Misconception {
    name: "counted-too-late",
    expected: "`wait` waits for jobs whose threads have not begun yet, too",
    why: "A thread that has been started need not have run when `spawn` returns. What it is to \
          say about itself, as that there is one job more, is not said by then: that is for its \
          creator to do, before. (The check lets new threads wait until the main thread rests; \
          any machine may do so at any time.)",
    lesson: "02_params",
};

const MAIN_RETURNS_FIRST: Misconception = Misconception {
    name: "main-returns-first",
    expected: "at the end of its input the program waits for the jobs that are still running",
    why: "When main returns the process ends, and all its threads with it, finished or not. A \
          detached thread is no exception.",
    lesson: "01_create",
};

const NEVER_JOINS: Misconception = Misconception {
    name: "never-joins",
    expected: "memory does not grow with the number of threads that have ended",
    why: "A thread that has ended keeps its stack until somebody joins it, unless it was \
          detached. Nobody did either, not even when asked to wait.",
    lesson: "04_detach",
};

const KEEPS_HANDLES: Misconception = Misconception {
    name: "keeps-handles",
    expected: "memory does not grow with the number of threads that have ended",
    why: "They were all joined in the end, on `wait`, but until then each kept its stack. A \
          service that runs for weeks has no end: let go of a thread when it is done.",
    lesson: "04_detach",
};

const JOINS_IN_ORDER: Misconception = Misconception {
    name: "joins-in-order",
    expected: "memory does not grow with the number of threads that have ended",
    why: "Who joins the threads in the order of their start stands at the first slow one. Those \
          behind it have ended, and keep their stacks until it is their turn. Join those that \
          are finished (JoinHandle::is_finished), or detach them all.",
    lesson: "04_detach",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "a line `NAME: N bytes` for each job, `idle` for each `wait`, status 0 at the end",
    why: "The check reads the output as another program would.",
    lesson: "04_detach",
};

fn wait_waits(scene: &mut Scene) -> Outcome {
    let slow = scene.gate("slow")?;
    scene.start_with_late_threads(&[])?;
    scene.send("slow\nwait\n");
    if scene.wait_for_readers(1)? != Settled::Reached {
        return Err(OUTPUT.so_far(scene, "the job `slow` and `wait`"));
    }
    scene.settle()?;
    if scene.lines() == ["idle"] {
        // Both mistakes look alike now; the thread has begun since.
        scene.send("wait\n");
        scene.settle()?;
        return Err(match scene.count_lines() {
            1 => COUNTED_TOO_LATE
                .seen("it answered `idle` before the thread of the job had begun"),
            _ => IDLE_TOO_EARLY.seen(
                "it answered `idle` while the job was still waiting for data from its file",
            ),
        });
    }
    if !scene.out().is_empty() {
        return Err(
            OUTPUT.so_far(scene, "a job whose file has no data yet and `wait`")
        );
    }
    slow.open("abc")?;
    scene.wait(|s| s.count_lines() == 2)?;
    if scene.lines() != ["slow: 3 bytes", "idle"] {
        return Err(OUTPUT.so_far(scene, "the job `slow` and `wait`"));
    }
    scene.finish()?;
    Ok(())
}

fn jobs_overlap(scene: &mut Scene) -> Outcome {
    let slow = scene.gate("slow")?;
    scene.file("quick", "12345")?;
    scene.start(&[])?;
    scene.send("slow\n");
    if scene.wait_for_readers(1)? != Settled::Reached {
        return Err(OUTPUT.so_far(scene, "the job `slow`"));
    }
    scene.send("quick\n");
    if scene.settle()? == Settled::Blocked && scene.out().is_empty() {
        return Err(ONE_AT_A_TIME.seen(
            "the first job reads a file that has no data yet; the second one never began",
        ));
    }
    scene.close_stdin();
    if scene.settle()? == Settled::Ended && scene.lines() == ["quick: 5 bytes"] {
        return Err(MAIN_RETURNS_FIRST.seen(
            "its input ended and so did the process, while a job was still reading its file",
        ));
    }
    slow.open("abc")?;
    let exit = scene.finish()?;
    if scene.lines() != ["quick: 5 bytes", "slow: 3 bytes"] || exit != Exit::Code(0)
    {
        return Err(OUTPUT.seen(scene.so_far("the jobs `slow` and `quick`")));
    }
    Ok(())
}

/// Two jobs, and twice: once the older one ends first, and once the newer one.
fn wait_waits_for_all(scene: &mut Scene) -> Outcome {
    scene.start(&[])?;
    let mut lines = Vec::new();
    for names in [["old", "new"], ["newer", "older"]] {
        let [first, last] = [scene.gate(names[0])?, scene.gate(names[1])?];
        let mut orders = names;
        orders.sort_by_key(|name| !name.starts_with("old"));
        scene.send(&format!("{}\n{}\nwait\n", orders[0], orders[1]));
        if scene.wait_for_readers(2)? != Settled::Reached {
            return Err(OUTPUT.so_far(scene, "two jobs and `wait`"));
        }
        scene.settle()?;
        first.open("abc")?;
        lines.push(format!("{}: 3 bytes", names[0]));
        scene.settle()?;
        if scene.lines().len() > lines.len() {
            return Err(WAITS_FOR_ONE.seen(format!(
                "the jobs `{}` and `{}` were started in this order; when `{}` was done it \
                 answered `idle`, while the other was still waiting for data from its file",
                orders[0], orders[1], names[0]
            )));
        }
        last.open("abc")?;
        lines.push(format!("{}: 3 bytes", names[1]));
        lines.push("idle".to_owned());
        scene.wait(|s| s.count_lines() >= lines.len())?;
        if scene.lines() != lines {
            return Err(OUTPUT.so_far(scene, "two jobs and `wait`"));
        }
    }
    scene.finish()?;
    Ok(())
}

fn ten_at_once(scene: &mut Scene) -> Outcome {
    let names: Vec<String> = (1..=10).map(|n| format!("slow{n}")).collect();
    let gates: Vec<Gate> =
        names.iter().map(|name| scene.gate(name)).collect::<Result<_, _>>()?;
    scene.start(&[])?;
    scene.send(&(names.join("\n") + "\n"));
    if scene.wait_for_readers(names.len())? != Settled::Reached {
        let doing = scene.doing();
        let seen = format!("ten jobs read files that have no data yet: {doing}");
        return Err(FEW_THREADS.seen(seen));
    }
    gates.into_iter().try_for_each(|gate| gate.open("abc"))?;
    let exit = scene.finish()?;
    let mut expected: Vec<_> =
        names.iter().map(|name| format!("{name}: 3 bytes")).collect();
    let mut lines = scene.lines();
    expected.sort();
    lines.sort();
    if lines != expected || exit != Exit::Code(0) {
        return Err(OUTPUT.seen(scene.so_far("ten jobs at the same time")));
    }
    Ok(())
}

fn memory_stays_flat(scene: &mut Scene) -> Outcome {
    const JOBS: usize = 10_000;
    /// Enough for the stacks and heaps that the C library keeps for later threads.
    const WARM: usize = 500;
    const AT_ONCE: usize = 20;
    let slow = scene.gate("slow")?;
    scene.file("job", "1")?;
    // One heap for all threads: else each may reserve 64 MiB, which hides the stacks.
    scene.set_environment("MALLOC_ARENA_MAX", "1");
    scene.start(&[])?;
    // It is at work all the time.
    scene.send("slow\n");
    if scene.wait_for_readers(1)? != Settled::Reached {
        return Err(OUTPUT.so_far(scene, "the job `slow`"));
    }
    let (mut sent, mut before) = (0, Bytes(0));
    for measured in [WARM, 4 * WARM, JOBS] {
        while sent < measured {
            scene.send(&"job\n".repeat(AT_ONCE));
            sent += AT_ONCE;
            // As many may still be at work when the next ones are sent: it never runs dry.
            if scene.wait(|s| s.count_lines() + AT_ONCE >= sent)? != Settled::Reached
            {
                return Err(OUTPUT.so_far(scene, &format!("{sent} jobs")));
            }
        }
        // The threads of the last jobs may still be there, and their stacks with them.
        scene.wait(|s| s.count_lines() >= sent)?;
        scene.settle()?;
        if measured == WARM {
            before = scene.vm_size();
        }
        // The smallest stack is 16 KiB; unjoined threads would take that and more.
        let grown = Bytes(scene.vm_size().0.saturating_sub(before.0));
        if grown.0 > (sent - WARM) as u64 * (64 << 10) {
            return Err(who_keeps_them(scene, slow, sent - WARM, grown)?);
        }
    }
    slow.open("abc")?;
    scene.send("wait\n");
    scene.wait(|s| s.lines().last().is_some_and(|line| line == "idle"))?;
    let exit = scene.finish()?;
    if scene.count_lines() != JOBS + 2 || exit != Exit::Code(0) {
        return Err(
            OUTPUT.seen(scene.so_far(&format!("{} jobs and `wait`", JOBS + 1)))
        );
    }
    Ok(())
}

/// Memory has grown; does it fall when the first job is done, or when the program is asked to
/// wait for its threads?
fn who_keeps_them(
    scene: &mut Scene,
    slow: Gate,
    threads: usize,
    grown: Bytes,
) -> Result<Stop, Stop> {
    let full = scene.vm_size();
    let freed = |scene: &Scene| Bytes(full.0.saturating_sub(scene.vm_size().0));
    slow.open("abc")?;
    scene.settle()?;
    let after_slow = freed(scene);
    scene.send("wait\n");
    scene.settle()?;
    let freed = freed(scene);
    let seen = format!(
        "its address space grew by {grown} over {threads} threads that had ended"
    );
    Ok(if after_slow.0 > grown.0 / 2 {
        let first = "were freed when the first job, a slow one, was done";
        JOINS_IN_ORDER.seen(format!("{seen}; {after_slow} of it {first}"))
    } else if freed.0 > grown.0 / 2 {
        KEEPS_HANDLES.seen(format!("{seen}; {freed} of it were freed on `wait`"))
    } else {
        NEVER_JOINS.seen(seen)
    })
}
