use super::{Case, Exercise};
use crate::scene::{
    Exit, Gate, Misconception, Outcome, Scene, Settled, Stop, Thread, Waiting,
};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise9",
    title: "Run commands at once, report each status in order",
    lesson: "15_waitpid",
    hints: &[
        "Two loops are needed: one that starts all commands and keeps their \
         children, and one that waits for them. `Command::status` does both at \
         once; `Command::spawn` only starts.",
        "The second loop waits for one child after the other, in the order of the \
         command line. A child that ended before its turn is no loss: the kernel \
         keeps its status until somebody asks. That is what a zombie is for.",
        "A child ends in one of two ways: it exits with a code, or a signal ends \
         it. Then there is no code: `ExitStatus::code` says None, and \
         std::os::unix::process::ExitStatusExt has `signal`. In nix: \
         WaitStatus::Exited and WaitStatus::Signaled.",
        "Keep what `spawn` returns, a Result<Child>, in a Vec. For each: if it is \
         an error print `exit 127`, else `wait` and print what it says. Who forks \
         and execs himself: if exec returns it has failed, and the child must \
         leave with `_exit(127)` at once.",
    ],
    cases: &[
        Case::new("all at once, lines in order", all_at_once),
        Case::new("codes and signals", codes_and_signals),
        Case::new("stopped is not ended", stopped_is_not_ended),
        Case::new("a command that does not exist", no_such_command),
        Case::new("a hundred at the same moment", a_hundred),
        Case::new("an end just before it waits", end_before_waiting),
    ],
};

const ONE_AFTER_ANOTHER: Misconception = Misconception {
    name: "one-after-another",
    expected: "all commands run at the same time",
    why: "The program waits for the end of a command before it starts the next one. \
          Start all of them first, then wait for all of them.",
    lesson: "15_waitpid",
};

const DOES_NOT_WAIT: Misconception = Misconception {
    name: "does-not-wait",
    expected: "a line about a command is printed after its end",
    why: "With WNOHANG waitpid does not wait: it says 0 (nix: StillAlive; std's \
          try_wait: None), which means that the child has not ended. That is no \
          status.",
    lesson: "15_waitpid",
};

const ASKS_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "the program sleeps until a child has ended",
    why: "A loop that asks whether something has happened uses the processor for \
          nothing, or notices late, or both. wait and waitpid without WNOHANG sleep \
          in the kernel, which wakes them at the right moment.",
    lesson: "15_waitpid",
};

const COMPLETION_ORDER: Misconception = Misconception {
    name: "completion-order",
    expected: "the lines come in the order of the command line",
    why: "Commands end in any order; here the last one ended first. waitpid(-1) \
          and wait give whichever child has ended: keep the status until those \
          before it are printed, or wait for each child by its id.",
    lesson: "15_waitpid",
};

const SIGNAL_AS_CODE: Misconception = Misconception {
    name: "signal-as-code",
    expected: "`N: signal NUMBER` for a command that a signal has ended",
    why: "A process that a signal ends has not called exit and has no exit code. \
          The status tells both cases apart: WIFEXITED and WEXITSTATUS, \
          WIFSIGNALED and WTERMSIG. (128 + NUMBER is what a shell makes of it in \
          `$?`; an exit code can be that number too.)",
    lesson: "15_waitpid",
};

const RAW_STATUS: Misconception = Misconception {
    name: "raw-status",
    expected: "`N: exit CODE` with the code that the command ended with",
    why: "What waitpid stores is not the code but a word in which the code has its \
          place, eight bits up. WEXITSTATUS takes it out; nix and std do so by \
          themselves.",
    lesson: "15_waitpid",
};

const LEAVES_ZOMBIE: Misconception = Misconception {
    name: "leaves-zombie",
    expected: "after the last line no child is left, not even as a zombie",
    why: "A child that has ended stays in the table of processes until its parent \
          has taken its status. To know in another way that it has ended, or to \
          look with WNOWAIT, takes nothing. A child that could not become its \
          command is a child too.",
    lesson: "14_zombie",
};

const STOPPED_AS_ENDED: Misconception = Misconception {
    name: "stopped-as-ended",
    expected: "no line about a command that is stopped and can be continued",
    why: "With WUNTRACED waitpid also returns when a child is stopped. The status \
          says so (WIFSTOPPED; nix: WaitStatus::Stopped). The child lives: wait \
          on.",
    lesson: "15_waitpid",
};

const GIVES_UP: Misconception = Misconception {
    name: "gives-up",
    expected: "a command that cannot be started does not keep the others from \
               running",
    why: "That a command cannot be started is a result like any other, and belongs \
          in its line. An error that leaves the loop takes the other commands with \
          it; those that run already are left behind without a parent.",
    lesson: "15_waitpid",
};

const CHILD_GOES_ON: Misconception = Misconception {
    name: "child-goes-on",
    expected: "each command is started once",
    why: "exec returns only if it fails. The child is then still a copy of the \
          program, in the middle of the loop, and goes on: it starts the remaining \
          commands once more. It must leave at once, with _exit.",
    lesson: "13_fork",
};

const ONE_WAIT_PER_SIGNAL: Misconception = Misconception {
    name: "one-wait-per-signal",
    expected: "each end is seen, also when many come at the same moment",
    why: "A SIGCHLD that is pending already is not queued again: of a hundred ends one \
          signal may come. Who waits for a child only when a signal has come waits for \
          too few. After each signal ask until no child is left that has ended; or let \
          waitpid do the waiting, without any signal.",
    lesson: "18_sigchld",
};

const SIGNAL_MISSED: Misconception = Misconception {
    name: "signal-missed",
    expected: "an end is seen, whenever it comes",
    why: "The program looks whether a signal has come, and then waits for one \
          (pause). If the signal comes between the look and the wait, it interrupts \
          nothing, and the program waits for one that has come already. Block the \
          signal, and let it in only while the program waits: sigsuspend. Or let \
          waitpid do the waiting, without any signal. (The check brings the signal at \
          that moment; any machine may do so at any time.)",
    lesson: "18_sigchld",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "a line `N: exit CODE` or `N: signal NUMBER` for each command, in the \
               order of the command line; then, at the end of its input, status 0",
    why: "The check reads the output as another program would.",
    lesson: "15_waitpid",
};

/// The commands wait for their gates and end in the opposite order.
fn all_at_once(scene: &mut Scene) -> Outcome {
    let mut gates = Vec::new();
    for name in ["a", "b", "c"] {
        gates.push(scene.gate(name)?);
    }
    start(scene, &["gate a exit 7", "gate b exit 0", "gate c exit 3"])?;
    let settled = scene.settle()?;
    if scene.count_lines() > 0 {
        let seen =
            scene.so_far("three commands were started, none of which can end,");
        return Err(DOES_NOT_WAIT.seen(seen));
    }
    let begun = gates.iter().filter(|gate| scene.waiting_at(gate) > 0).count();
    match begun {
        0 => return Err(OUTPUT.seen(scene.so_far("the start"))),
        1 | 2 => {
            let doing = scene.doing();
            let seen = format!(
                "{begun} of 3 commands had been started when nothing moved any \
                 more; {doing}"
            );
            return Err(ONE_AFTER_ANOTHER.seen(seen));
        }
        _ => sleeps(scene, settled)?,
    }
    for number in [3, 2, 1] {
        end_gate(&mut gates)?;
        let settled = scene.settle()?;
        if number > 1 && scene.count_lines() > 0 {
            let seen = format!(
                "command {number} had ended, command 1 had not, and it printed {}",
                crate::scene::quote(&scene.out())
            );
            return Err(COMPLETION_ORDER.seen(seen));
        }
        sleeps(scene, settled)?;
    }
    all_is_well(scene, &["exit 7", "exit 0", "exit 3"])
}

fn codes_and_signals(scene: &mut Scene) -> Outcome {
    const ENDS: [&str; 9] = [
        "exit 0",
        "exit 1",
        "signal 9",
        "exit 255",
        "signal 15",
        "exit 9",
        "signal 1",
        "exit 137",
        "signal 10",
    ];
    start(scene, &ENDS)?;
    scene.wait(|s| s.count_lines() >= ENDS.len())?;
    scene.settle()?;
    all_is_well(scene, &ENDS)
}

fn stopped_is_not_ended(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    start(scene, &["gate a exit 4"])?;
    scene.settle()?;
    let Some(&child) = scene.processes_at(&gate).first() else {
        return Err(OUTPUT.seen(scene.so_far("the start")));
    };
    scene.pause(child)?;
    let settled = scene.settle()?;
    if scene.count_lines() > 0 {
        let seen = scene.so_far("SIGSTOP had stopped the only command");
        return Err(STOPPED_AS_ENDED.seen(seen));
    }
    sleeps(scene, settled)?;
    scene.resume(child);
    scene.settle()?;
    gate.open("")?;
    scene.settle()?;
    all_is_well(scene, &["exit 4"])
}

fn no_such_command(scene: &mut Scene) -> Outcome {
    let first = scene.gate("a")?;
    let last = scene.gate("b")?;
    let (a, b) = (scene.actor("gate a exit 1"), scene.actor("gate b exit 2"));
    scene.file("text", "no program\n")?;
    scene.start(&[&a, "./no-such-command at all", "./text", &b])?;
    let what = "four commands, the second of which does not exist, and the third of \
                which may not be executed,";
    match scene.settle() {
        // It ended, or it panicked.
        Ok(Settled::Ended) | Err(_) if scene.exit().is_some() => {
            return Err(GIVES_UP.seen(scene.so_far(what)));
        }
        settled => sleeps(scene, settled?)?,
    }
    let children = scene.children();
    let copies = children.iter().filter(|&&pid| scene.runs_the_program(pid)).count();
    let times = scene.waiting_at(&last);
    // A copy that is there to start all of them is none that went astray.
    if times > 1 || (copies > 0 && copies < children.len()) {
        let seen = format!("after {what} the last one runs {times} times");
        return Err(CHILD_GOES_ON.seen(seen));
    }
    if times == 0 {
        return Err(GIVES_UP.seen(scene.so_far(what) + "; the last one never began"));
    }
    last.open("")?;
    scene.settle()?;
    first.open("")?;
    scene.settle()?;
    all_is_well(scene, &["exit 1", "exit 127", "exit 127", "exit 2"])
}

fn a_hundred(scene: &mut Scene) -> Outcome {
    const MANY: usize = 100;
    let gate = scene.gate("go")?;
    let ends: Vec<String> =
        (0..MANY).map(|n| format!("exit {}", (n * 7) % 256)).collect();
    let steps: Vec<String> =
        ends.iter().map(|end| format!("gate go {end}")).collect();
    start(scene, &steps.iter().map(String::as_str).collect::<Vec<_>>())?;
    let all = scene.wait(|s| s.waiting_at(&gate) >= MANY)?;
    if all != Settled::Reached {
        return Err(OUTPUT.seen(scene.so_far("a hundred commands")));
    }
    // All end while the program is stopped, so of the signals only one is pending.
    scene.pause(scene.program())?;
    gate.open("")?;
    scene.wait(|s| s.zombies().len() >= MANY)?;
    scene.resume(scene.program());
    scene.wait(|s| s.count_lines() >= MANY)?;
    scene.settle()?;
    all_is_well(scene, &ends.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The signal comes when the program is about to wait, and does not yet.
fn end_before_waiting(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    start(scene, &["gate a exit 4"])?;
    scene.settle()?;
    let commands = scene.processes_at(&gate);
    scene.before_it_sleeps(|scene| {
        gate.open("")?;
        scene.wait_for_ends(&commands)
    })?;
    scene.settle()?;
    if scene.exit().is_none() && scene.count_lines() == 0 {
        return Err(SIGNAL_MISSED.hung(format!(
            "the only command ended at the moment before the program waited for its \
             end; no line says so, and {}",
            scene.doing()
        )));
    }
    all_is_well(scene, &["exit 4"])
}

fn start(scene: &mut Scene, steps: &[&str]) -> Outcome {
    let commands: Vec<String> =
        steps.iter().map(|steps| scene.actor(steps)).collect();
    scene.start(&commands.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Opens the last gate.
fn end_gate(gates: &mut Vec<Gate>) -> Outcome {
    gates.pop().map_or(Ok(()), |gate| gate.open(""))
}

/// A program that is not asleep though nothing happens asks again and again.
fn sleeps(scene: &Scene, settled: Settled) -> Outcome {
    match settled {
        Settled::Busy => Err(ASKS_AGAIN
            .seen(format!("commands ran and nothing happened; {}", scene.doing()))),
        _ => Ok(()),
    }
}

/// All commands have ended. Looks at what was printed, at what is left, and at the
/// end.
fn all_is_well(scene: &mut Scene, ends: &[&str]) -> Outcome {
    let expected: Vec<String> =
        (1..).zip(ends).map(|(number, end)| format!("{number}: {end}")).collect();
    let lines = scene.lines();
    let zombies = scene.zombies().len();
    let waits = |thread: &Thread| matches!(thread.waiting, Waiting::Child(_));
    let nobody_waits = !scene.threads().iter().any(waits);
    if lines.len() < expected.len() && zombies > 0 && nobody_waits {
        let seen = scene.so_far("the end of all commands");
        return Err(ONE_WAIT_PER_SIGNAL.hung(format!(
            "{seen}; {zombies} of them are zombies; {}",
            scene.doing()
        )));
    }
    if lines != expected {
        return Err(what_is_wrong(scene, &lines, &expected));
    }
    if scene.exit().is_some() {
        let seen = scene.so_far("the end of all commands") + " before its input did";
        return Err(OUTPUT.seen(seen));
    }
    if zombies > 0 {
        let seen = format!(
            "all lines were printed, the program lives on, and {zombies} of its \
             children {} in state Z",
            if zombies == 1 { "is" } else { "are" }
        );
        return Err(LEAVES_ZOMBIE.seen(seen));
    }
    if scene.finish()? != Exit::Code(0) {
        return Err(OUTPUT.seen(scene.so_far("the end of its input")));
    }
    Ok(())
}

fn what_is_wrong(scene: &Scene, lines: &[String], expected: &[String]) -> Stop {
    let pairs = || lines.iter().zip(expected).filter(|(line, right)| line != right);
    let differs =
        |(line, right): (&String, &String)| format!("`{line}` instead of `{right}`");
    let raw = |(line, right): &(&String, &String)| {
        let code = |line: &str| line.rsplit_once("exit ")?.1.parse::<i32>().ok();
        matches!((code(line), code(right)), (Some(a), Some(b)) if a == b << 8)
    };
    if let Some(pair) = pairs().find(raw) {
        return RAW_STATUS.seen(differs(pair));
    }
    let signal = |(line, right): &(&String, &String)| {
        right.contains("signal") && line.contains("exit")
    };
    if let Some(pair) = pairs().find(signal) {
        return SIGNAL_AS_CODE.seen(differs(pair));
    }
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    match pairs().next() {
        Some(pair) if sorted(lines) == sorted(expected) => {
            COMPLETION_ORDER.seen(differs(pair))
        }
        Some(pair) if lines.len() == expected.len() => OUTPUT.seen(differs(pair)),
        _ => OUTPUT.seen(scene.so_far("the end of all commands")),
    }
}
