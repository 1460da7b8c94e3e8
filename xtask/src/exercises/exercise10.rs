use super::{Case, Exercise};
use crate::scene::{
    Exit, Gate, Misconception, Outcome, Scene, Settled, Stop, Waiting,
};
use nix::sys::signal::Signal;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise10",
    title: "A supervisor that reaps by SIGCHLD",
    lesson: "18_sigchld",
    hints: &[
        "Two things can happen at any time: an order comes, or a signal. So the \
         program must wait for both in one place. What can make a signal look like \
         input? Lesson 16 shows a pipe that the handler writes to; signalfd(2) is \
         a descriptor that the kernel makes readable.",
        "Let the handler do next to nothing: write one byte to a pipe. Everything \
         else (waitpid, the table of commands, printing) is done by main, when \
         poll says that the pipe can be read. poll returns EINTR when a handler \
         ran: call it again.",
        "SIGCHLD is kept once, however many children end before it is delivered. \
         So ask after every signal for each command that is still running: \
         `Child::try_wait`, or waitpid with its number and WNOHANG, until none has \
         ended. waitpid(-1) would take the helper's status too.",
        "With nix: `pipe2` with O_CLOEXEC | O_NONBLOCK, its writing end in a \
         static AtomicI32; `sigaction` with a handler that writes one byte to it. \
         A loop around `poll` of standard input and the pipe: at EINTR again; when \
         the pipe can be read empty it, then `try_wait` for each command. Who \
         blocks SIGCHLD for a signalfd has to unblock it in each command \
         (`pre_exec`): what is blocked stays blocked in children.",
    ],
    cases: &[
        Case::new("one end while no order comes", one_end),
        Case::new("a signal while it prints", while_it_prints),
        Case::new("an end just before it waits", end_before_waiting),
        Case::new("the helper's status", helpers_status),
        Case::new("a stopped command", stopped),
        Case::new("ends while it waits for others", last_ends),
        Case::new("what commands inherit", what_commands_inherit),
        Case::new("an end before the start is over", early_end),
        Case::new("a command that does not exist", no_such_command),
        Case::new("two hundred at the same moment", two_hundred),
    ],
};

const ASKS_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "the program sleeps until there is an order or a child has ended",
    why: "It wakes up every now and then to look whether something has happened. \
          That uses the processor for nothing and still notices late. The kernel \
          tells: it sends SIGCHLD.",
    lesson: "18_sigchld",
};

const THREAD_PER_CHILD: Misconception = Misconception {
    name: "thread-per-child",
    expected: "at most four threads, however many commands run",
    why: "A thread that does nothing but wait for one child costs a stack and a \
          place in the scheduler for each command. SIGCHLD tells one thread of all \
          of them.",
    lesson: "18_sigchld",
};

const END_UNSEEN: Misconception = Misconception {
    name: "end-unseen",
    expected: "the end of a command is reported although no order comes",
    why: "The program was asleep in a call that goes on after a signal: read with \
          SA_RESTART, or std's reading of lines, which begins again after EINTR. \
          What a handler has noted down is seen by nobody then. The signal must \
          end the wait: a pipe or a signalfd beside the input.",
    lesson: "17_eintr",
};

const LOOKS_AT_EINTR_ONLY: Misconception = Misconception {
    name: "looks-at-eintr-only",
    expected: "the end of a command is reported, whatever the program does at \
               that moment",
    why: "The signal came while the program was printing, so there it was that a \
          call was interrupted, not in the wait for orders. To look after the \
          children only when that wait says EINTR leaves a gap before it; in the \
          gap a signal is lost. A pipe or a signalfd keeps it.",
    lesson: "17_eintr",
};

const SIGNAL_MISSED: Misconception = Misconception {
    name: "signal-missed",
    expected: "the end of a command is reported although no order comes, whenever \
               the end comes",
    why: "The handler makes a note, and the program looks at it before it waits for \
          orders. If the signal comes between the look and the wait, it interrupts \
          nothing, and the program sleeps with a note that nobody has read. Let \
          the signal in only while the program waits (ppoll), or make it something to \
          wait for: a pipe that the handler writes to, signalfd. (The check brings \
          the signal at that moment; any machine may do so at any time.)",
    lesson: "18_sigchld",
};

const DIES_OF_EINTR: Misconception = Misconception {
    name: "dies-of-eintr",
    expected: "the program goes on when a signal interrupts a call",
    why: "A call that waits returns EINTR when a handler has run; poll does so \
          even with SA_RESTART, waitpid without it. Nothing has gone wrong: call it \
          again.",
    lesson: "17_eintr",
};

const UNSAFE_HANDLER: Misconception = Misconception {
    name: "unsafe-handler",
    expected: "a handler does only what is safe in the middle of anything else",
    why: "A handler interrupts main wherever it is, here in the middle of \
          printing. What main has locked or half changed stays like that until the \
          handler returns; a handler that prints, allocates memory or takes a lock \
          waits for ever, or finds a structure broken. signal-safety(7) lists what \
          is allowed: write and waitpid are, println and Mutex are not.",
    lesson: "16_sigaction",
};

const ONE_WAIT_PER_SIGNAL: Misconception = Misconception {
    name: "one-wait-per-signal",
    expected: "each end is reported, also when many come at the same moment",
    why: "A signal that is pending already is not queued again: 200 ends, one \
          SIGCHLD. After each signal wait for children until none is left that has \
          ended.",
    lesson: "18_sigchld",
};

const BLOCKS_IN_WAIT: Misconception = Misconception {
    name: "blocks-in-wait",
    expected: "orders are obeyed while commands run",
    why: "waitpid without WNOHANG waits until a child ends, and nobody obeys \
          orders meanwhile. SIGCHLD does not promise that one has ended: it also \
          comes when a child is stopped or continued, and another wait may have \
          taken the status.",
    lesson: "18_sigchld",
};

const LEAVES_ZOMBIE: Misconception = Misconception {
    name: "leaves-zombie",
    expected: "no command whose end was reported is left as a zombie",
    why: "The signal brings number and status of a child with it, but that is only \
          news. The child stays in the table of processes until its parent waits \
          for it, and the news of others is lost when signals merge.",
    lesson: "14_zombie",
};

const STATUS_THROWN_AWAY: Misconception = Misconception {
    name: "status-thrown-away",
    expected: "the program learns how its commands ended",
    why: "With SIG_IGN for SIGCHLD, or SA_NOCLDWAIT, the kernel frees children at \
          once and throws their status away: no zombies, and nothing to report. \
          That is for those who do not ask.",
    lesson: "18_sigchld",
};

const STEALS_STATUS: Misconception = Misconception {
    name: "steals-status",
    expected: "the helper's status is left to the helper's owner",
    why: "waitpid(-1) and wait take the status of any child, also of one that \
          another part of the program has started and waits for. A status can be \
          taken once only: the owner gets ECHILD. Wait for your own children, by \
          number.",
    lesson: "15_waitpid",
};

const MASK_LEAKS: Misconception = Misconception {
    name: "mask-leaks",
    expected: "commands start with no signal blocked",
    why: "What a thread blocks, its children block too, and exec keeps it. A \
          command that relies on the signal never gets it. std's Command leaves \
          the mask as it is: set it back between fork and exec (`pre_exec`), or \
          use a handler, which exec resets.",
    lesson: "16_sigaction",
};

const DESCRIPTOR_LEAKS: Misconception = Misconception {
    name: "descriptor-leaks",
    expected: "commands have the descriptors 0, 1 and 2, and no other",
    why: "exec closes only what is marked so. Every command now holds the \
          program's own pipes, for as long as it runs. Make descriptors with \
          O_CLOEXEC: pipe2, SFD_CLOEXEC, EPOLL_CLOEXEC.",
    lesson: "25_fd",
};

const LOST_EARLY_END: Misconception = Misconception {
    name: "lost-early-end",
    expected: "the end of a command is reported even if it comes before the \
               program has taken note of the command",
    why: "A child may have ended before the call that started it returns. Whoever \
          hears the signal then, a handler or another thread, finds the command in \
          no table, and no second signal comes. Look once more after taking note, \
          or let nobody look in between: block the signal, or hold the lock. (The \
          check lets the program wait until its new child has ended; any machine \
          may do so at any time.)",
    lesson: "18_sigchld",
};

const GIVES_UP: Misconception = Misconception {
    name: "gives-up",
    expected: "a command that cannot be started counts as one that ended with code \
               127, and the program goes on",
    why: "That a command cannot be started is a result like any other, and belongs \
          in its line. An error that leaves main takes the supervisor away from all \
          commands that run already; a slip of the pen is enough.",
    lesson: "15_waitpid",
};

const CHILD_GOES_ON: Misconception = Misconception {
    name: "child-goes-on",
    expected: "a child that could not become its command leaves at once",
    why: "exec returns only if it fails. The child is then still a copy of the \
          program and goes on as one: it reads orders from the same standard input, \
          and each order that it gets is lost to the program. It must leave with \
          _exit(127).",
    lesson: "13_fork",
};

const LEAVES_ORPHANS: Misconception = Misconception {
    name: "leaves-orphans",
    expected: "at the end of its input the program ends its commands and waits \
               for them",
    why: "The end of a parent does not end its children. They live on as children \
          of another process, and nobody knows of them any more.",
    lesson: "19_double_fork",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "`NAME: exit CODE` or `NAME: signal NUMBER` for each command, `N \
               running` for each `count`, at last the helper's line, and status 0",
    why: "The check reads the output as another program would.",
    lesson: "18_sigchld",
};

const AT_LAST: &str = "its input has ended, and its commands end one after another";

/// Five commands; one ends while the program waits for an order, four at the end.
fn one_end(scene: &mut Scene) -> Outcome {
    let helper = scene.gate("h")?;
    let first = scene.gate("a")?;
    let others = scene.gate("b")?;
    start(scene, "gate h exit 5")?;
    order_start(scene, "anna", "gate a exit 3");
    for name in ["bert", "cora", "dick", "emma"] {
        order_start(scene, name, "gate b exit 0");
    }
    sleeps(scene)?;
    let begun = scene.waiting_at(&first) + scene.waiting_at(&others);
    if begun != 5 || scene.waiting_at(&helper) != 1 {
        let what = format!("five orders to start a command {begun} run;");
        return Err(OUTPUT.seen(scene.so_far(&what)));
    }
    let threads = scene.threads().len();
    if threads > 4 {
        let seen = format!("{threads} threads for 5 commands");
        return Err(THREAD_PER_CHILD.seen(seen));
    }
    first.open("")?;
    interrupted(
        scene.settle(),
        scene,
        "a command ended while it waited for orders",
    )?;
    if !has_line(scene, "anna: exit 3") {
        return Err(not_reported(scene));
    }
    has_reaped(scene)?;
    scene.send("count\n");
    obeys(scene, "4 running")?;

    scene.close_stdin();
    scene.settle()?;
    dies_of_eintr(scene, AT_LAST)?;
    let told = scene.waiting_at(&others) == 0;
    helper.open("")?;
    if !told && scene.settle()? != Settled::Ended {
        let seen = scene.so_far("the end of its input") + "; its commands still run";
        return Err(OUTPUT.seen(seen));
    }
    let mut expected = vec!["anna: exit 3", "4 running"];
    expected.extend(["bert: signal 15", "cora: signal 15", "dick: signal 15"]);
    expected.extend(["emma: signal 15", "helper: exit 5"]);
    all_is_well(scene, &expected)
}

/// Its helper ends while the commands are started: a handler may run at any moment.
fn two_hundred(scene: &mut Scene) -> Outcome {
    let ends = two_hundred_ends(scene);
    match ends.is_err() && stands_in_its_handler(scene) {
        true => Err(UNSAFE_HANDLER.hung(format!(
            "a command ended while main was at work; there is no other thread, and {}",
            scene.doing()
        ))),
        false => ends,
    }
}

/// Who has one thread and waits for a lock has it already: a handler has interrupted the holder.
fn stands_in_its_handler(scene: &Scene) -> bool {
    let threads = scene.threads();
    let waits = threads.iter().all(|thread| thread.waiting == Waiting::Lock);
    scene.catches(Signal::SIGCHLD) && threads.len() == 1 && waits
}

/// All end while the program is stopped, so that only one SIGCHLD is pending.
fn two_hundred_ends(scene: &mut Scene) -> Outcome {
    const MANY: usize = 200;
    let gate = scene.gate("go")?;
    start(scene, "exit 0")?;
    let mut expected = Vec::new();
    for n in 0..MANY {
        let end = format!("exit {}", n % 256);
        order_start(scene, &format!("n{n}"), &format!("gate go {end}"));
        expected.push(format!("n{n}: {end}"));
    }
    let all = scene.wait(|s| s.waiting_at(&gate) >= MANY)?;
    if all != Settled::Reached {
        return Err(
            OUTPUT.seen(scene.so_far("two hundred orders to start a command"))
        );
    }
    let threads = scene.threads().len();
    if threads > 4 {
        let seen = format!("{threads} threads for {MANY} commands");
        return Err(THREAD_PER_CHILD.seen(seen));
    }
    // Not before the program has taken note of the last one.
    scene.settle()?;
    scene.pause(scene.program())?;
    gate.open("")?;
    scene.wait(|s| s.children().is_empty())?;
    scene.resume(scene.program());
    let done = scene.wait(|s| s.count_lines() >= MANY);
    interrupted(
        done,
        scene,
        "it was stopped and continued, and its commands ended",
    )?;
    if scene.count_lines() < MANY {
        let seen = format!(
            "{MANY} commands ended while the program was stopped (SIGSTOP). When \
             it went on SIGCHLD was pending, once. It has reported {} of them, {} \
             are zombies; {}",
            scene.count_lines(),
            // The helper has ended too; it is no business of the program's.
            scene.zombies().len().saturating_sub(1),
            scene.doing()
        );
        return Err(ONE_WAIT_PER_SIGNAL.seen(seen));
    }
    scene.send("count\n");
    obeys(scene, "0 running")?;
    expected.extend(["0 running".to_owned(), "helper: exit 0".to_owned()]);
    all_is_well(scene, &expected.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Its standard output is full, so it stands in the middle of printing when the
/// signal comes.
fn while_it_prints(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    let helper = helper(scene);
    scene.start_with_full_output(&words(&helper))?;
    order_start(scene, "anna", "gate a exit 3");
    is_begun(scene, &gate)?;
    scene.send("count\n");
    scene.settle()?;
    // It may also keep what it has to print until poll says that there is room.
    let printing = prints(scene);
    let queued = scene.unread_input() == 0 && polls(scene);
    if !printing && !queued {
        let seen = format!("after `count` it does not print; {}", scene.doing());
        return Err(OUTPUT.seen(seen));
    }
    gate.open("")?;
    let settled = scene.settle();
    let what = "a command ended while main was printing";
    if says_eintr(scene) {
        interrupted(settled, scene, what)?;
        return Err(OUTPUT.seen(scene.so_far(what)));
    }
    match settled {
        Ok(Settled::Blocked | Settled::Busy) if prints(scene) || !printing => {}
        Ok(Settled::Blocked | Settled::Busy) => {
            let seen = format!("{what}; then {}", scene.doing());
            return Err(UNSAFE_HANDLER.hung(seen));
        }
        Err(_) if scene.exit().is_none() => return Err(scene.no_end()),
        _ => {
            let err = scene.err();
            let said =
                err.lines().find(|line| line.contains("already")).unwrap_or("");
            let how = scene.ending().unwrap_or_default();
            let seen = format!("{what}; the program ended with {how}. {said}");
            return Err(UNSAFE_HANDLER.seen(seen.trim().to_owned()));
        }
    }
    scene.let_output_go();
    scene.settle()?;
    if !has_line(scene, "anna: exit 3") {
        let doing = scene.doing();
        return Err(LOOKS_AT_EINTR_ONLY.seen(format!(
            "{what}; it has printed that to its end since, and now {doing}"
        )));
    }
    all_is_well(scene, &["1 running", "anna: exit 3", "helper: exit 0"])
}

/// The signal comes when the program is about to wait for orders, and does not yet.
fn end_before_waiting(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    start(scene, "exit 0")?;
    order_start(scene, "anna", "gate a exit 3");
    is_begun(scene, &gate)?;
    let commands = scene.processes_at(&gate);
    scene.before_it_sleeps(|scene| {
        gate.open("")?;
        scene.wait_for_ends(&commands)
    })?;
    let what = "a command ended at the moment before the program waited for orders";
    interrupted(scene.settle(), scene, what)?;
    if scene.count_lines() == 0 {
        let seen = format!("{what}, and nobody reports it; {}", scene.doing());
        return Err(SIGNAL_MISSED.seen(seen));
    }
    all_is_well(scene, &["anna: exit 3", "helper: exit 0"])
}

/// The helper ends first.
fn helpers_status(scene: &mut Scene) -> Outcome {
    let helper = scene.gate("h")?;
    let gate = scene.gate("a")?;
    start(scene, "gate h exit 42")?;
    order_start(scene, "anna", "gate a exit 3");
    is_begun(scene, &gate)?;
    helper.open("")?;
    scene.settle()?;
    if scene.zombies().is_empty() || scene.count_lines() > 0 {
        let seen =
            "the helper ended, and its status was taken before anybody asked for it";
        return Err(STEALS_STATUS.seen(seen));
    }
    gate.open("")?;
    scene.settle()?;
    if !has_line(scene, "anna: exit 3") {
        return Err(not_reported(scene));
    }
    all_is_well(scene, &["anna: exit 3", "helper: exit 42"])
}

/// SIGCHLD also comes when a child is stopped and when it is continued.
fn stopped(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    start(scene, "exit 0")?;
    order_start(scene, "anna", "gate a exit 3");
    is_begun(scene, &gate)?;
    let Some(&child) = scene.processes_at(&gate).first() else { return Ok(()) };
    scene.pause(child)?;
    scene.settle()?;
    if scene.count_lines() > 0 {
        let seen = scene.so_far("SIGSTOP had stopped the only command");
        return Err(OUTPUT.seen(seen));
    }
    scene.send("count\n");
    obeys(scene, "1 running")?;
    scene.resume(child);
    scene.settle()?;
    gate.open("")?;
    scene.settle()?;
    all_is_well(scene, &["1 running", "anna: exit 3", "helper: exit 0"])
}

/// All commands but one are stopped when the input ends. One that is stopped gets SIGTERM when it
/// is continued, so each ends while the program waits for another one, whatever their order.
fn last_ends(scene: &mut Scene) -> Outcome {
    let first = scene.gate("a")?;
    let others = [scene.gate("b")?, scene.gate("c")?, scene.gate("d")?];
    start(scene, "exit 0")?;
    order_start(scene, "bert", "gate b exit 0");
    order_start(scene, "anna", "gate a exit 0");
    order_start(scene, "cora", "gate c exit 0");
    order_start(scene, "dick", "gate d exit 0");
    is_begun(scene, &first)?;
    let stopped: Vec<i32> =
        others.iter().flat_map(|gate| scene.processes_at(gate)).collect();
    for &child in &stopped {
        scene.pause(child)?;
    }
    scene.settle()?;
    scene.close_stdin();
    scene.settle()?;
    dies_of_eintr(scene, AT_LAST)?;
    for &child in stopped.iter().rev() {
        scene.resume(child);
        scene.settle()?;
        dies_of_eintr(scene, AT_LAST)?;
    }
    let ends = ["bert: signal 15", "anna: signal 15", "cora: signal 15"];
    all_is_well(scene, &[&ends[..], &["dick: signal 15", "helper: exit 0"]].concat())
}

fn what_commands_inherit(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    start(scene, "exit 0")?;
    order_start(scene, "anna", "gate a exit 3");
    is_begun(scene, &gate)?;
    let Some(&child) = scene.processes_at(&gate).first() else { return Ok(()) };
    let blocked = scene.blocked_signals(child);
    if blocked != 0 {
        let names: Vec<&str> = Signal::iterator()
            .filter(|&signal| blocked & (1 << (signal as i32 - 1)) != 0)
            .map(Signal::as_str)
            .collect();
        let seen = format!("a command runs with {} blocked", names.join(" and "));
        return Err(MASK_LEAKS.seen(seen));
    }
    let mut open = scene.descriptors(child);
    // The file that it reads is its own doing.
    open.retain(|fd| fd.number > 2 && !fd.target.ends_with("/a"));
    if !open.is_empty() {
        let list: Vec<String> = open
            .iter()
            .map(|fd| format!("{} is {}", fd.number, fd.target))
            .collect();
        let seen = format!("a command has more descriptors: {}", list.join(", "));
        return Err(DESCRIPTOR_LEAKS.seen(seen));
    }
    gate.open("")?;
    scene.settle()?;
    all_is_well(scene, &["anna: exit 3", "helper: exit 0"])
}

/// The command ends before the program goes on from starting it.
fn early_end(scene: &mut Scene) -> Outcome {
    let helper = helper(scene);
    scene.start_with_late_parents(&words(&helper))?;
    // A thread that it may have for signals should be there by then.
    scene.settle()?;
    order_start(scene, "anna", "exit 3");
    let settled = scene.settle();
    interrupted(settled, scene, "a command ended as soon as it had begun")?;
    if scene.count_lines() == 0 {
        let seen = "a command ended as soon as it had begun, and nobody reports it";
        return Err(LOST_EARLY_END.seen(format!("{seen}; {}", scene.doing())));
    }
    all_is_well(scene, &["anna: exit 3", "helper: exit 0"])
}

fn no_such_command(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("a")?;
    start(scene, "exit 0")?;
    scene.file("text", "no program\n")?;
    let mut lines = Vec::new();
    for (name, command, which) in [
        ("nora", "./no-such-command", "does not exist"),
        ("paul", "./text", "may not be executed"),
    ] {
        scene.send(&format!("start {name} {command} at all\n"));
        let what = format!("the order to start a command that {which}");
        let settled = scene.settle();
        // Also by a panic.
        if scene.exit().is_some() {
            let seen = format!("{}. {}", scene.so_far(&what), scene.last_words());
            return Err(GIVES_UP.seen(seen.trim_end()));
        }
        settled?;
        let children = scene.children();
        if let Some(pid) = children.iter().find(|&&pid| scene.runs_the_program(pid))
        {
            let doing = scene.doing_all();
            let seen =
                format!("after {what} process {pid} is a copy of the program");
            return Err(CHILD_GOES_ON.seen(format!("{seen}; {doing}")));
        }
        lines.push(format!("{name}: exit 127"));
        if scene.lines() != lines {
            return Err(OUTPUT.seen(scene.so_far(&what)));
        }
    }
    scene.send("count\n");
    obeys(scene, "0 running")?;
    order_start(scene, "anna", "gate a exit 3");
    is_begun(scene, &gate)?;
    gate.open("")?;
    scene.settle()?;
    all_is_well(
        scene,
        &[
            "nora: exit 127",
            "paul: exit 127",
            "0 running",
            "anna: exit 3",
            "helper: exit 0",
        ],
    )
}

/// Starts the program with a helper that does these steps.
fn start(scene: &mut Scene, helper: &str) -> Outcome {
    let command = scene.actor(helper);
    scene.start(&words(&command))
}

/// The command of a helper that ends at once.
fn helper(scene: &Scene) -> String {
    scene.actor("exit 0")
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

fn order_start(scene: &mut Scene, name: &str, steps: &str) {
    let command = scene.actor(steps);
    scene.send(&format!("start {name} {command}\n"));
}

/// Waits until the command is there and all is at rest.
fn is_begun(scene: &mut Scene, gate: &Gate) -> Outcome {
    scene.wait(|s| s.waiting_at(gate) > 0)?;
    sleeps(scene)?;
    match scene.waiting_at(gate) {
        1 => Ok(()),
        _ => Err(OUTPUT.seen(scene.so_far("the order to start a command"))),
    }
}

/// Waits until all is at rest; nothing happens, so nothing may go on.
fn sleeps(scene: &mut Scene) -> Outcome {
    match scene.settle()? {
        Settled::Busy => Err(ASKS_AGAIN
            .seen(format!("there were no orders, commands ran; {}", scene.doing()))),
        _ => Ok(()),
    }
}

fn has_line(scene: &Scene, line: &str) -> bool {
    scene.lines().iter().any(|l| l == line)
}

/// Whether a thread stands in a write to standard output.
fn prints(scene: &Scene) -> bool {
    scene.threads().iter().any(|thread| thread.waiting == Waiting::Write(1))
}

/// Whether a thread waits until one of several descriptors is ready.
fn polls(scene: &Scene) -> bool {
    scene.threads().iter().any(|thread| thread.waiting == Waiting::Descriptors)
}

fn says_eintr(scene: &Scene) -> bool {
    let err = scene.err();
    scene.exit().is_some() && (err.contains("EINTR") || err.contains("Interrupted"))
}

fn dies_of_eintr(scene: &Scene, what: &str) -> Outcome {
    if !says_eintr(scene) {
        return Ok(());
    }
    let err = scene.err();
    let line = err.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("");
    let seen = format!("{what}; the program ended: {}", crate::scene::quote(line));
    Err(DIES_OF_EINTR.seen(seen))
}

/// A program must not end of a signal. `settled` is how the wait for its rest came
/// out.
fn interrupted(
    settled: Result<Settled, Stop>,
    scene: &Scene,
    what: &str,
) -> Outcome {
    dies_of_eintr(scene, what)?;
    let settled = settled?;
    let err = scene.err();
    if settled == Settled::Ended
        && (err.contains("ECHILD") || err.contains("No child processes"))
    {
        let seen =
            format!("{what}; the program ended: {}", crate::scene::quote(&err));
        return Err(STATUS_THROWN_AWAY.seen(seen));
    }
    match settled {
        Settled::Ended => Err(OUTPUT.seen(scene.so_far(what))),
        _ => Ok(()),
    }
}

/// A command has ended and no line says so. Why?
fn not_reported(scene: &Scene) -> Stop {
    let seen = scene.so_far("the end of a command");
    let waits =
        |thread: &crate::scene::Thread| matches!(thread.waiting, Waiting::Child(_));
    if scene.count_lines() > 0 {
        OUTPUT.seen(seen)
    } else if scene.ignores(Signal::SIGCHLD) {
        STATUS_THROWN_AWAY.seen(seen + "; it ignores SIGCHLD")
    } else if scene.threads().iter().any(waits) {
        BLOCKS_IN_WAIT.seen(seen)
    } else if scene.zombies().is_empty() && scene.catches(Signal::SIGCHLD) {
        END_UNSEEN.seen(seen + "; a handler has taken its status")
    } else if scene.zombies().is_empty() {
        STATUS_THROWN_AWAY.seen(seen + "; the command is no zombie any more")
    } else {
        END_UNSEEN.seen(seen + "; the command is a zombie")
    }
}

fn has_reaped(scene: &Scene) -> Outcome {
    match scene.zombies().len() {
        0 => Ok(()),
        n => {
            let seen = format!("the end was reported; children in state Z: {n}");
            Err(LEAVES_ZOMBIE.seen(seen))
        }
    }
}

/// Waits until the order `count` is obeyed.
fn obeys(scene: &mut Scene, answer: &str) -> Outcome {
    scene.settle()?;
    if has_line(scene, answer) {
        return Ok(());
    }
    let waits = |scene: &Scene| {
        scene.threads().iter().any(|t| matches!(t.waiting, Waiting::Child(_)))
    };
    Err(match scene.unread_input() > 0 && waits(scene) {
        true => {
            BLOCKS_IN_WAIT.hung(format!("nobody reads the order; {}", scene.doing()))
        }
        false => OUTPUT.seen(scene.so_far("`count`")),
    })
}

/// Ends the program's input; looks at all that it has printed, in any order but the
/// helper's.
fn all_is_well(scene: &mut Scene, expected: &[&str]) -> Outcome {
    let exit = scene.finish()?;
    dies_of_eintr(scene, AT_LAST)?;
    let orphans = scene.orphans().len();
    if orphans > 0 {
        let seen =
            format!("the program has ended; {orphans} of its children live on");
        return Err(LEAVES_ORPHANS.seen(seen));
    }
    let mut lines = scene.lines();
    let helper = lines.last().cloned().unwrap_or_default();
    if helper.starts_with("helper: no status") {
        return Err(
            STEALS_STATUS.seen(format!("the helper's owner prints `{helper}`"))
        );
    }
    let mut sorted: Vec<&str> = expected.to_vec();
    sorted.sort_unstable();
    lines.sort_unstable();
    let last = expected.last().copied().unwrap_or_default();
    if lines != sorted || helper != last || exit != Exit::Code(0) {
        return Err(OUTPUT.seen(scene.so_far("the end of its input")));
    }
    Ok(())
}
