use super::{Case, Exercise};
use crate::scene::{
    Exit, Misconception, Outcome, Reader, Scene, Settled, Stop, Thread, Waiting,
    quote, quote_bytes,
};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise11",
    title: "A two-way dialogue with a child program",
    lesson: "21_dialogue",
    hints: &[
        "A pipe has one direction. How many are needed, how many ends do they \
         have, and which of them has to be closed in which process? A reader sees \
         the end only when nobody holds the other end any more.",
        "Whatever order you choose between writing to the command and reading from \
         it, some command does not fit: it wants the other one first. So neither \
         may wait for the other: two threads, or poll.",
        "With std: `Stdio::piped()` for both, and `take` both ends out of the \
         Child. A thread copies standard input to the command (std::io::copy) and \
         then drops its end. main reads lines from the command (`split(b'\\n')` of a \
         BufReader: they need not be text) and prints them.",
        "An error while writing to the command is no error of the dialogue: stop \
         sending. The end of the command's output is the end of the dialogue: \
         wait, print, return from main, and do not join the thread, which may wait \
         for input for ever.",
    ],
    cases: &[
        Case::new("more than the pipes hold", more_than_the_pipes_hold),
        Case::new("question and answer", question_and_answer),
        Case::new("silent until the end", silent_until_the_end),
        Case::new("talks first", talks_first),
        Case::new("closes its input", closes_its_input),
        Case::new("ends early", ends_early),
        Case::new("half a line", half_a_line),
        Case::new("no text", no_text),
    ],
};

const ONE_PIPE: Misconception = Misconception {
    name: "one-pipe",
    expected: "what the program writes is read by the command, and what the \
               command writes by the program",
    why: "There is one pipe for both directions. Whoever reads first gets what is \
          in it, be it his own question. A pipe goes one way; a dialogue needs two \
          of them, or a socketpair.",
    lesson: "21_dialogue",
};

const BOTH_PIPES_FULL: Misconception = Misconception {
    name: "both-pipes-full",
    expected: "the program reads the answers while it still has something to send",
    why: "It sends without reading. The answers fill their pipe until the command \
          has to wait; then it reads no more, the other pipe fills, and the \
          program has to wait too. Each waits for the other to read. Small amounts \
          hide that: a pipe holds 64 KiB.",
    lesson: "21_dialogue",
};

const WAITS_FOR_ALL_INPUT: Misconception = Misconception {
    name: "waits-for-all-input",
    expected: "what comes on standard input goes to the command as soon as it is \
               there",
    why: "The program reads its input to the end before it sends anything. Nobody \
          can answer what he has not heard, and who types waits for the answer to \
          his first line before he goes on.",
    lesson: "21_dialogue",
};

const READS_ALL_FIRST: Misconception = Misconception {
    name: "reads-all-first",
    expected: "the command is sent its input while it still has something to say",
    why: "The program waits for the end of the command's output and reads no input \
          of its own. The command waits for its input. Neither will go on.",
    lesson: "21_dialogue",
};

const ONE_ANSWER_EACH: Misconception = Misconception {
    name: "one-answer-each",
    expected: "lines go to the command whether it answers them or not",
    why: "After each line the program waits for an answer. This command says \
          nothing before its input has ended (as sort does); others say three \
          lines, or none. How much comes back is the command's affair.",
    lesson: "21_dialogue",
};

const HOLDS_BACK: Misconception = Misconception {
    name: "holds-back",
    expected: "what either side says is passed on as soon as it is there",
    why: "The command waits for the next question, and an answer is missing. It may \
          have been given and not be printed: whoever collects all answers before \
          he prints, or reads to the end of the file, ends the dialogue before it \
          has begun. Or the question has not reached the command: a buffer \
          (BufWriter; stdio in C) keeps what is written until it is full, or \
          flushed.",
    lesson: "21_dialogue",
};

const WAITS_FOR_A_LINE: Misconception = Misconception {
    name: "waits-for-a-line",
    expected: "what comes on standard input goes to the command as soon as it is \
               there, be it half a line",
    why: "lines(), read_line and read_until return when a line is complete. Whether \
          the command needs whole lines is its own affair: it may wait for a single \
          key. read returns what is there.",
    lesson: "21_dialogue",
};

const BYTES_CHANGED: Misconception = Misconception {
    name: "bytes-changed",
    expected: "each byte is passed on as it came; before each line of the command \
               stands `> `",
    why: "Both sides say bytes, which need not be text. A String takes UTF-8 only: \
          to make one fails, or puts a replacement character there. lines() takes \
          `\\r\\n` for the end of a line as well as `\\n`, and does not say whether \
          there was one at the end of the last. Pass on what read brought; for lines \
          of bytes there are read_until and split.",
    lesson: "21_dialogue",
};

const END_LEFT_OPEN: Misconception = Misconception {
    name: "end-left-open",
    expected: "when one side has nothing more to say, the other sees the end",
    why: "A reader gets the end of the file when the last descriptor for writing \
          is closed, and the program itself still holds one. Close what you do not \
          need right after the start of the command, and the rest when you are \
          done with it.",
    lesson: "20_pipe",
};

const END_LEAKS: Misconception = Misconception {
    name: "end-leaks-into-child",
    expected: "the command has the two ends that it needs, and no other",
    why: "A child inherits all descriptors, and exec closes only those that are \
          marked so. The command holds the other end of its own input, of which it \
          knows nothing, and so waits for itself. Make pipes with O_CLOEXEC \
          (pipe2), or close the ends in the child.",
    lesson: "20_pipe",
};

const DIES_OF_EPIPE: Misconception = Misconception {
    name: "dies-of-epipe",
    expected: "a command that closes its input is listened to, to its end",
    why: "A write to a pipe that nobody reads fails with EPIPE, and sends SIGPIPE. \
          That is no disaster: the command has heard enough (as head does). What \
          it says counts.",
    lesson: "20_pipe",
};

const WAITS_FOR_INPUT: Misconception = Misconception {
    name: "waits-for-input",
    expected: "the program ends when the command has, although its own input goes \
               on",
    why: "The command is gone, and the program still waits for something to send \
          to it: main, or a thread that main joins, reads standard input. The end \
          of the command's output is the end of the dialogue.",
    lesson: "21_dialogue",
};

const ASKS_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "the program sleeps until one of both sides says something",
    why: "Descriptors that do not block, asked in turn, keep the processor busy \
          with nothing, or answer late. poll sleeps until one of them is ready; a \
          thread for each side sleeps in read, and wait sleeps until the command \
          ends.",
    lesson: "21_dialogue",
};

const SPINS_AT_END: Misconception = Misconception {
    name: "spins-at-end",
    expected: "when its input has ended, the program sleeps until the command says \
               something",
    why: "The end does not go away: a descriptor that has reached it is always ready, \
          and each read returns 0. So poll returns at once, for ever. Take the \
          descriptor out of the list when you have seen its end.",
    lesson: "21_dialogue",
};

const OUTPUT_END_AS_COMMAND_END: Misconception = Misconception {
    name: "output-end-as-command-end",
    expected: "the program waits until the command has ended by itself, and prints \
               how",
    why: "A command can close its output and go on: it may have something to finish. \
          The end of its output is the end of the dialogue, but not of the command. \
          Who kills it then, or does not wait, prints an end that is not its own.",
    lesson: "21_dialogue",
};

const COMMAND_END_AS_OUTPUT_END: Misconception = Misconception {
    name: "command-end-as-output-end",
    expected: "the program prints what comes out of the pipe, to its end, although \
               the command has ended",
    why: "The end of a process does not end its output: what it said last may still \
          be in the pipe, and a child of its own can hold the pipe and say more. \
          Read to the end of the file, however long that takes; then wait.",
    lesson: "20_pipe",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "`> LINE` for each line of the command, at last `exit CODE` or \
               `signal NUMBER`, and status 0",
    why: "The check reads the output as another program would.",
    lesson: "21_dialogue",
};

/// 300 KB each way, far more than two pipes hold.
const LINES: usize = 3000;

fn long_input() -> String {
    (1..=LINES).map(|n| format!("{n:0>99}\n")).collect()
}

fn long_answers() -> Vec<String> {
    (1..=LINES).map(|n| format!("> answer to {n:0>99}")).collect()
}

fn more_than_the_pipes_hold(scene: &mut Scene) -> Outcome {
    let child = start(scene, "answer exit 3")?;
    let before = heard(scene, child);
    scene.send(&long_input());
    let settled = scene.wait(|s| s.count_lines() >= LINES)?;
    if settled != Settled::Reached {
        return Err(no_answer(scene, child, before, READS_ALL_FIRST));
    }
    let mut expected = long_answers();
    expected.push("exit 3".to_owned());
    all_is_well(scene, &expected)
}

fn question_and_answer(scene: &mut Scene) -> Outcome {
    let child = start(scene, "answer exit 0")?;
    for (count, question) in (1..).zip(["first", "", "a third one"]) {
        let before = heard(scene, child);
        scene.send(&format!("{question}\n"));
        scene.wait(|s| s.count_lines() >= count)?;
        let settled = scene.settle()?;
        if scene.count_lines() < count {
            return Err(no_answer(scene, child, before, READS_ALL_FIRST));
        }
        sleeps(scene, settled)?;
    }
    let all =
        ["> answer to first", "> answer to ", "> answer to a third one", "exit 0"];
    all_is_well(scene, &all.map(str::to_owned))
}

/// It counts its input, so it answers when that has ended.
fn silent_until_the_end(scene: &mut Scene) -> Outcome {
    let child = start(scene, "count exit 0")?;
    for line in ["one\n", "two\n", "three\n"] {
        let before = heard(scene, child);
        scene.send(line);
        let settled = scene.settle()?;
        sleeps(scene, settled)?;
        if heard(scene, child) == before {
            return Err(no_answer(scene, child, before, ONE_ANSWER_EACH));
        }
    }
    all_is_well(scene, &["> lines: 3", "exit 0"].map(str::to_owned))
}

/// It hears a little, so that there is a little room in its input, and then fills
/// its output before it reads on.
fn talks_first(scene: &mut Scene) -> Outcome {
    /// Lines that are heard and not answered: a page of the pipe, and a bit.
    const HEARD: usize = 41;
    let gate = scene.gate("g")?;
    let steps = format!("gate g hear {} say {LINES} answer exit 0", HEARD * 100);
    let command = scene.actor(&steps);
    scene.start(&words(&command))?;
    scene.send(&long_input());
    scene.wait(|s| s.waiting_at(&gate) > 0)?;
    let settled = scene.settle()?;
    sleeps(scene, settled)?;
    gate.open("")?;
    let all = 2 * LINES - HEARD;
    if scene.wait(|s| s.count_lines() >= all)? != Settled::Reached {
        let child = scene.actors().first().copied().unwrap_or_default();
        let before = heard(scene, child);
        return Err(no_answer(scene, child, before, READS_ALL_FIRST));
    }
    let mut expected: Vec<String> =
        (1..=LINES).map(|n| format!("> {n:0>99}")).collect();
    expected.extend(long_answers().split_off(HEARD));
    expected.push("exit 0".to_owned());
    all_is_well(scene, &expected)
}

/// It closes its input and still has something to say; then it closes its output and
/// still has something to do.
fn closes_its_input(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("g")?;
    let second = scene.gate("h")?;
    let command = scene.actor("deaf gate g say 2 mute gate h exit 4");
    scene.start(&words(&command))?;
    scene.wait(|s| s.waiting_at(&gate) > 0)?;
    scene.send("is anybody there\n");
    let what = "a line was sent to a command that had closed its input";
    match scene.settle() {
        // It ended, or a signal ended it, or it panicked.
        Ok(Settled::Ended) | Err(_) if scene.exit().is_some() => {
            let how = scene.ending().unwrap_or_default();
            let err = scene.err();
            let said = err.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("");
            let seen = format!("{what}; the program ended ({how}). {said}");
            return Err(DIES_OF_EPIPE.seen(seen.trim()));
        }
        settled => sleeps(scene, settled?)?,
    }
    scene.close_stdin();
    if scene.settle()? == Settled::Busy {
        let seen = format!("its input has ended; {}", scene.doing());
        return Err(SPINS_AT_END.seen(seen));
    }
    gate.open("")?;
    scene.wait(|s| s.waiting_at(&second) > 0)?;
    let settled = scene.settle()?;
    if scene.exit().is_some() {
        let what = "the command had closed its output and still had something to do";
        return Err(OUTPUT_END_AS_COMMAND_END.seen(last_said(scene, what)));
    }
    sleeps(scene, settled)?;
    second.open("")?;
    let said = [1, 2].map(|n| format!("> {n:0>99}"));
    all_is_well(scene, &[&said[..], &["exit 4".to_owned()]].concat())
}

/// It ends although there is more to come: input, and what a child of its own says.
fn ends_early(scene: &mut Scene) -> Outcome {
    let gate = scene.gate("g")?;
    let command = scene.actor("heir g say 1 signal 15");
    scene.start(&words(&command))?;
    scene.wait(|s| s.waiting_at(&gate) > 0)?;
    let settled = scene.settle()?;
    if scene.exit().is_some() || scene.count_lines() > 1 {
        let what = "the command had ended, and a child of its own held the output";
        return Err(COMMAND_END_AS_OUTPUT_END.seen(last_said(scene, what)));
    }
    sleeps(scene, settled)?;
    gate.open("")?;
    scene.wait(|s| s.exit().is_some())?;
    if scene.settle()? != Settled::Ended {
        return Err(match who_holds(scene) {
            Some(stop) => stop,
            None => WAITS_FOR_INPUT.hung(scene.doing()),
        });
    }
    let said = format!("> {:0>99}", 1);
    all_is_well(scene, &[&said, &said, "signal 15"].map(str::to_owned))
}

/// The command hears just these four bytes, and then says something.
fn half_a_line(scene: &mut Scene) -> Outcome {
    start(scene, "hear 4 say 1 count exit 0")?;
    scene.send("half");
    let settled = scene.settle()?;
    sleeps(scene, settled)?;
    if scene.count_lines() == 0 {
        let what = "4 bytes of input, no line feed behind them,";
        return Err(WAITS_FOR_A_LINE.seen(scene.so_far(what)));
    }
    scene.send(" a line\nand another one\n");
    let said = format!("> {:0>99}", 1);
    all_is_well(scene, &[&said, "> lines: 2", "exit 0"].map(str::to_owned))
}

/// In two pieces, of which the first ends within the end of a line.
fn no_text(scene: &mut Scene) -> Outcome {
    const QUESTION: [&[u8]; 2] = [b"\xff\0 no text\r\nhalf\r", b"\na line \xc3"];
    const ANSWER: &[u8] = b"\x80\r\n\n\xfe\0, and half a line";
    const PRINTED: &[u8] = b"> \x80\r\n> \n> \xfe\0, and half a line\nexit 0\n";
    let hex: String = ANSWER.iter().map(|byte| format!("{byte:02x}")).collect();
    start(scene, &format!("spell bytes {hex} exit 0"))?;
    let question = QUESTION.concat();
    for piece in QUESTION {
        scene.send_bytes(piece);
        match scene.settle() {
            // Such bytes may well be the end of it.
            Err(_) if scene.exit().is_some() => {}
            settled => sleeps(scene, settled?)?,
        }
    }
    scene.close_stdin();
    let settled = scene.wait(|s| s.exit().is_some());
    if scene.exit().is_none() {
        settled?;
        return Err(who_holds(scene).unwrap_or_else(|| scene.no_end()));
    }
    let spelled = format!("> {}\n", question.escape_ascii());
    let said = scene.last_words();
    let seen = match scene.out_bytes().strip_prefix(spelled.as_bytes()) {
        Some(PRINTED) if scene.exit() == Some(Exit::Code(0)) => return Ok(()),
        Some(printed) => format!(
            "the command said {}, and the program printed {}. {said}",
            quote_bytes(ANSWER),
            quote_bytes(printed)
        ),
        None => format!(
            "“{}” came on standard input; the command spells what it has heard, and \
             the program printed “{}”. {said}",
            question.escape_ascii(),
            scene.lines().first().map_or("nothing", |line| line)
        ),
    };
    Err(BYTES_CHANGED.seen(seen.trim_end()))
}

/// Starts the program with this command and waits until all is at rest.
fn start(scene: &mut Scene, steps: &str) -> Result<i32, Stop> {
    let command = scene.actor(steps);
    scene.start(&words(&command))?;
    let settled = scene.settle()?;
    let Some(&child) = scene.actors().first() else {
        return Err(OUTPUT.seen(scene.so_far("the start")));
    };
    sleeps(scene, settled)?;
    let of = |pid: i32, number: i32| {
        scene.descriptors(pid).into_iter().find(|fd| fd.number == number)
    };
    let target =
        |pid, number| of(pid, number).map(|fd| fd.target).unwrap_or_default();
    let (input, output) = (target(child, 0), target(child, 1));
    if input.starts_with("pipe:") && input == output {
        let seen =
            format!("the command's standard input and output are both {input}");
        return Err(ONE_PIPE.seen(seen));
    }
    for (number, own) in [(0, input), (1, output)] {
        if own == target(scene.program(), number) {
            let seen =
                format!("the command's descriptor {number} is the program's own");
            return Err(OUTPUT.seen(seen));
        }
    }
    Ok(child)
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

/// Tells what the program has printed at last, and whether it has ended.
fn last_said(scene: &Scene, what: &str) -> String {
    let lines = scene.lines();
    let last = lines.last().map_or("nothing".to_owned(), |line| quote(line));
    let ended = if scene.exit().is_some() { ", and ended" } else { "" };
    format!("{what}; the program printed {last} at last{ended}")
}

/// How often the command has been woken so far: it grows when it hears something.
fn heard(scene: &Scene, child: i32) -> u64 {
    scene.threads_of(child).first().map_or(0, |thread| thread.switches)
}

fn sleeps(scene: &Scene, settled: Settled) -> Outcome {
    match settled {
        Settled::Busy => {
            Err(ASKS_AGAIN.seen(format!("nobody said anything; {}", scene.doing())))
        }
        _ => Ok(()),
    }
}

/// All is at rest and an answer is missing. `before` is what the command had heard;
/// `one_sided` is wrong if the program listens to the command only.
fn no_answer(
    scene: &Scene,
    child: i32,
    before: u64,
    one_sided: Misconception,
) -> Stop {
    if scene.exit().is_some() {
        return OUTPUT.seen(scene.so_far("its input so far"));
    }
    let threads = scene.threads();
    let any = |is: &dyn Fn(&Thread) -> bool| threads.iter().any(is);
    let unread = scene.unread_input() > 0;
    // A copy from standard input that has something to copy waits for room.
    let sends = any(&|t| match t.waiting {
        Waiting::Write(fd) => fd > 2,
        Waiting::Splice(0, _) => unread,
        _ => false,
    });
    let listens = any(&|t| matches!(t.waiting, Waiting::Read(fd) if fd > 2));
    let of_child = scene.threads_of(child);
    let child_is = |waiting| of_child.iter().any(|t| t.waiting == waiting);
    let doing = scene.doing();
    if sends && child_is(Waiting::Write(1)) {
        return BOTH_PIPES_FULL.hung(format!(
            "the command waits to write its answers; {doing}; the program has \
             printed {} lines",
            scene.count_lines()
        ));
    }
    if listens && unread && child_is(Waiting::Read(0)) {
        let seen = format!("the command waits for input; {doing}");
        return one_sided.hung(seen + "; there is input that nobody reads");
    }
    if heard(scene, child) == before {
        let seen = "there was input, and the command has heard nothing of it";
        return WAITS_FOR_ALL_INPUT.seen(format!("{seen}; {doing}"));
    }
    HOLDS_BACK.seen(format!(
        "the command waits for more input; {doing}; the program has printed {} \
         lines",
        scene.count_lines()
    ))
}

/// Somebody waits for the end of what another has to say, and there is none. Who
/// keeps it open?
fn who_holds(scene: &Scene) -> Option<Stop> {
    let program = scene.program();
    let name = |pid| if pid == program { "the program" } else { "the command" };
    for Reader { pid: reader, descriptor: fd, writers } in scene.waiting_for_data() {
        if reader == program && fd.number == 0 {
            continue;
        }
        // A dialogue in good order has one writer on the other side.
        let by = |pid: i32| writers.iter().find(move |(writer, _)| *writer == pid);
        let seen = |writer: i32, number: i32| {
            format!(
                "{} waits for the end of its descriptor {} ({}), which {} still \
                 has open for writing, as descriptor {number}",
                name(reader),
                fd.number,
                fd.target,
                name(writer)
            )
        };
        if let Some((pid, other)) = by(program) {
            return Some(END_LEFT_OPEN.hung(seen(*pid, other.number)));
        }
        if reader != program
            && let Some((pid, other)) = by(reader)
        {
            return Some(END_LEAKS.hung(seen(*pid, other.number)));
        }
        if fd.target.starts_with("socket:") && reader != program {
            let seen = format!("the command waits for the end of its {}", fd.target);
            return Some(END_LEFT_OPEN.hung(seen));
        }
    }
    None
}

/// Ends the program's input if it has not ended; looks at all that it has printed.
fn all_is_well(scene: &mut Scene, expected: &[String]) -> Outcome {
    scene.close_stdin();
    scene.wait(|s| s.exit().is_some())?;
    let Some(exit) = scene.exit() else {
        return Err(match who_holds(scene) {
            Some(stop) => stop,
            None => scene.no_end(),
        });
    };
    let lines = scene.lines();
    if lines != expected || exit != Exit::Code(0) {
        let pairs = lines.iter().zip(expected);
        let seen = match pairs.enumerate().find(|(_, (line, right))| line != right) {
            Some((index, (line, right))) => format!(
                "line {} is {} and not {}",
                index + 1,
                quote(line),
                quote(right)
            ),
            None if lines.len() > 3 => format!(
                "it has printed {} of {} lines, and its status is {:?}",
                lines.len(),
                expected.len(),
                exit
            ),
            None => scene.so_far("the end of the dialogue"),
        };
        return Err(OUTPUT.seen(seen));
    }
    Ok(())
}
