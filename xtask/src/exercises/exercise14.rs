use super::clients::{connected, rest};
use super::{Case, Exercise};
use crate::scene::{
    End, Exit, Misconception, Outcome, Peer, Scene, Stop, Waiting, quote,
    quote_bytes,
};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise14",
    title: "Send everything, half-close, read the answer",
    lesson: "29_shutdown",
    hints: &[
        "A connection has two directions, and each has an end of its own. close(2) \
         gives up both, and only when it was the last descriptor. Which call ends \
         one of them?",
        "`stream.shutdown(Shutdown::Write)` sends FIN behind all that was written: the \
         server reads 0 there. What it sends can be read as before, until it ends \
         too.",
        "Neither may the question wait for the answer nor the answer for the question: \
         while one is stuck the other must go on. Two threads, each with a descriptor \
         of its own (`try_clone`), or one with poll and descriptors that do not \
         block.",
        "A thread copies standard input to the stream (std::io::copy) and then calls \
         shutdown. main copies the stream to standard output, and then joins the \
         thread: if the server ended first there may be more to send. All errors are \
         returned from main.",
    ],
    cases: &[
        Case::new("a short question", short_question),
        Case::new("a long question", long_question),
        Case::new("the answer comes first", answer_first),
        Case::new("the server ends first", server_ends_first),
        Case::new("no text", no_text),
        Case::new("broken off", broken_off),
        Case::new("broken off within the question", broken_off_within_question),
    ],
};

const CLOSES: Misconception = Misconception {
    name: "close-instead-of-shutdown",
    expected: "the program has ended its own direction and still listens",
    why: "Whoever closes the connection, or shuts down both directions, hears nothing \
          more: what the server still sends is answered by RST. To say that the \
          question is complete takes the end of one direction: shutdown(2) with \
          SHUT_WR.",
    lesson: "29_shutdown",
};

const CLOSES_DUPLICATE: Misconception = Misconception {
    name: "closes-a-duplicate",
    expected: "the server sees the end of the question",
    why: "close(2) gives up a descriptor. As long as another one leads to the same \
          connection (`try_clone`, dup, fork) the connection stays as it is, and \
          no FIN is sent. shutdown(2) is about the connection, through whichever \
          descriptor it is called.",
    lesson: "29_shutdown",
};

const NEVER_SHUTS: Misconception = Misconception {
    name: "never-shuts-down",
    expected: "the server sees the end of the question",
    why: "A stream has no end before somebody ends it. The server has all of the \
          question and cannot know that; it waits for more, and the program waits \
          for its answer. shutdown(2) with SHUT_WR sends the end, FIN.",
    lesson: "29_shutdown",
};

const READS_TOO_EARLY: Misconception = Misconception {
    name: "reads-too-early",
    expected: "the question is sent to its end, whether something is answered or not",
    why: "The program waits for an answer while a part of the question is not sent \
          yet, or its end is not. This server says nothing before it has heard all (as \
          sort does). Both wait.",
    lesson: "29_shutdown",
};

const SENDS_WITHOUT_READING: Misconception = Misconception {
    name: "sends-without-reading",
    expected: "the answer is read while the question is being sent",
    why: "The program sends and does not read; the server sends and does not read. The \
          buffers fill in both directions, then both wait for room. Short texts hide \
          that: buffers hold some hundred kilobytes. Read and write independently: two \
          threads, or poll.",
    lesson: "29_shutdown",
};

const STOPS_AT_FIRST_END: Misconception = Misconception {
    name: "stops-at-first-end",
    expected: "the question is sent to its end although the server has ended its answer",
    why: "FIN from the server says that it sends no more. It may still listen, as the \
          program does after its own FIN: each direction ends alone. The connection is \
          over when both have ended.",
    lesson: "29_shutdown",
};

const ONE_READ: Misconception = Misconception {
    name: "one-read-is-the-answer",
    expected: "the answer is read to its end, in however many pieces it comes",
    why: "A read returns what is there by then. The answer is complete when a read \
          returns 0: that is the server's FIN.",
    lesson: "28_stream",
};

const NOT_ALL: Misconception = Misconception {
    name: "not-all-sent",
    expected: "all of standard input goes to the server, and then the end",
    why: "Standard input is a stream as well: one read returns a part of it, and so may \
          one write take a part only. The end comes behind everything, when a read \
          of standard input has returned 0.",
    lesson: "28_stream",
};

const RESET_AS_END: Misconception = Misconception {
    name: "reset-as-end",
    expected: "a connection that is broken off is an error: a status other than 0",
    why: "The answer has an end if a read returns 0. Here it returned -1 with ECONNRESET: \
          the server has given up in the middle. Whoever takes both for the end takes \
          half an answer for a whole one.",
    lesson: "30_reset",
};

const SEND_ERROR_UNSEEN: Misconception = Misconception {
    name: "send-error-unseen",
    expected: "a connection that is broken off is an error: a status other than 0, \
               whichever call hears of it",
    why: "The kernel reports a reset once, to the call that comes first. Here that was \
          the one that sent: it failed, and the program went on. The read after it \
          returned 0, as it does at an end. Whoever heeds the errors of one direction \
          only takes half an answer for a whole one.",
    lesson: "30_reset",
};

const BYTES_CHANGED: Misconception = Misconception {
    name: "bytes-changed",
    expected: "each byte of the question and of the answer is passed on as it came, \
               and none is added",
    why: "Both are bytes, and need not be text, nor end with a line. A String takes \
          UTF-8 only: to make one fails, or puts a replacement character there. \
          lines() takes `\\r\\n` for the end of a line as well as `\\n`, and does not \
          say whether there was one at the end of the last. Pass on what read brought, \
          as it is.",
    lesson: "28_stream",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "standard input goes to the server, what the server sends is printed, and \
               at last status 0",
    why: "The check is the server: it compares each byte.",
    lesson: "29_shutdown",
};

/// The server's buffers.
const ROOM: usize = 16 << 10;
/// 600 KB, some times more than the buffers of both sides hold: they begin with 230 KB,
/// and the program's does not grow as long as the server does not read.
const LINES: usize = 6000;

fn long_text(what: &str) -> String {
    (1..=LINES).map(|n| format!("{what} {n:0>92}\n")).collect()
}

fn short_question(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    scene.send("one\n");
    rest(scene)?;
    let before = scene.holders_of(peer).len();
    scene.send("two\n");
    rest(scene)?;
    scene.close_stdin();
    rest(scene)?;
    if scene.heard(peer) == b"one\ntwo\n" && scene.end_of(peer).is_none() {
        let after = scene.holders_of(peer).len();
        if scene.exit().is_none() && (1..before).contains(&after) {
            let seen = format!(
                "the question is sent; of {before} descriptors of the connection \
                 {after} is left, the connection is {}, and no FIN has come; {}",
                scene.state_of(peer),
                scene.doing_all()
            );
            return Err(CLOSES_DUPLICATE.hung(seen));
        }
    }
    half_closed(scene, peer, b"one\ntwo\n")?;
    for piece in ["first piece\n", "second piece\n"] {
        scene.say(peer, piece);
        rest(scene)?;
        if scene.exit() == Some(Exit::Code(0)) {
            let seen = scene.so_far("a piece of the answer, and not yet its end,");
            return Err(ONE_READ.seen(seen));
        }
    }
    finish(scene, peer, b"first piece\nsecond piece\n")
}

fn long_question(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let question = long_text("question");
    scene.send(&question);
    scene.close_stdin();
    rest(scene)?;
    half_closed(scene, peer, question.as_bytes())?;
    let answer = long_text("answer");
    scene.say(peer, &answer);
    finish(scene, peer, answer.as_bytes())
}

/// The server says all that it has to say, and does not read before that is taken.
fn answer_first(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let (question, answer) = (long_text("question"), long_text("answer"));
    scene.hold(peer, true);
    scene.say(peer, &answer);
    scene.send(&question);
    scene.close_stdin();
    rest(scene)?;
    let left = scene.untaken(peer);
    if left > 0 {
        let seen = format!(
            "the server waits until {left} bytes of its answer are taken; {}",
            match scene.exit() {
                None => scene.doing(),
                Some(_) => scene.so_far("the question"),
            }
        );
        return Err(SENDS_WITHOUT_READING.hung(seen));
    }
    scene.hold(peer, false);
    rest(scene)?;
    half_closed(scene, peer, question.as_bytes())?;
    finish(scene, peer, answer.as_bytes())
}

fn server_ends_first(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    scene.say(peer, "that is all\n");
    scene.shut(peer);
    rest(scene)?;
    scene.send("but I have a question\n");
    rest(scene)?;
    scene.close_stdin();
    rest(scene)?;
    let heard = scene.heard_text(peer);
    if heard != "but I have a question\n" || scene.end_of(peer) != Some(End::Fin) {
        let seen = format!(
            "{}; the server has heard {}",
            scene.so_far("the server's end, a line of input and its end"),
            quote(&heard)
        );
        return Err(STOPS_AT_FIRST_END.seen(seen));
    }
    has_printed(scene, b"that is all\n")
}

/// In two pieces each, of which the first ends within a line, and within its end.
fn no_text(scene: &mut Scene) -> Outcome {
    const QUESTION: [&[u8]; 2] = [b"\xff\0 no text\r\nhalf\r", b"\na line \xc3"];
    const ANSWER: [&[u8]; 2] = [b"\x80\r\n\r\n\xfe, also\r", b"\n\0half a line"];
    let peer = start(scene)?;
    let question = QUESTION.concat();
    for piece in QUESTION {
        scene.send_bytes(piece);
        unless_it_dies(scene, "the question", &question)?;
    }
    scene.close_stdin();
    unless_it_dies(scene, "the question", &question)?;
    is_unchanged("the question", &question, scene.heard(peer), scene)?;
    half_closed(scene, peer, &question)?;
    let answer = ANSWER.concat();
    for piece in ANSWER {
        scene.say(peer, piece);
        unless_it_dies(scene, "the answer", &answer)?;
    }
    scene.shut(peer);
    unless_it_dies(scene, "the answer", &answer)?;
    is_unchanged("the answer", &answer, scene.out_bytes(), scene)?;
    has_printed(scene, &answer)
}

/// Waits until all is at rest. Bytes that are no text may well be the end of it.
fn unless_it_dies(scene: &mut Scene, what: &str, sent: &[u8]) -> Outcome {
    let settled = rest(scene);
    match scene.exit() {
        None | Some(Exit::Code(0)) => settled,
        Some(_) => {
            let how = scene.ending().unwrap_or_default();
            let (sent, said) = (quote_bytes(sent), scene.last_words());
            let seen =
                format!("{what} was {sent}; the program ended ({how}). {said}");
            Err(BYTES_CHANGED.seen(seen.trim_end()))
        }
    }
}

/// What was passed on is what came.
fn is_unchanged(what: &str, right: &[u8], is: &[u8], scene: &Scene) -> Outcome {
    if is == right {
        return Ok(());
    }
    let (right, is) = (quote_bytes(right), quote_bytes(is));
    let seen = format!(
        "{what} was {right}, and {is} was passed on. {}",
        scene.last_words()
    );
    Err(BYTES_CHANGED.seen(seen.trim_end()))
}

fn broken_off(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    scene.send("question\n");
    scene.close_stdin();
    rest(scene)?;
    half_closed(scene, peer, b"question\n")?;
    scene.say(peer, "half an ans");
    rest(scene)?;
    scene.break_off(peer);
    rest(scene)?;
    match scene.exit() {
        None => Err(scene.no_end()),
        Some(Exit::Code(0)) => {
            let what =
                "half of the answer, then the connection was broken off (RST),";
            Err(RESET_AS_END.seen(scene.so_far(what)))
        }
        Some(_) => Ok(()),
    }
}

/// Who prints waits in that, so that the reset is reported to the one who sends.
fn broken_off_within_question(scene: &mut Scene) -> Outcome {
    let (port, address) = scene.listen_with_buffers(Some(ROOM))?;
    scene.start_with_full_output(&[&address.to_string()])?;
    let peer = connected(scene, port, &OUTPUT)?;
    scene.hold(peer, true);
    scene.send(&long_text("question"));
    rest(scene)?;
    // More than a buffer for output holds.
    scene.say(peer, &long_text("answer")[..100_000]);
    rest(scene)?;
    scene.break_off(peer);
    rest(scene)?;
    scene.let_output_go();
    rest(scene)?;
    match scene.exit() {
        None => Err(scene.no_end()),
        Some(Exit::Code(0)) => {
            let seen = "the connection was broken off (RST), while the program waited \
                        to send more of the question; it ended with status 0";
            Err(SEND_ERROR_UNSEEN.seen(seen))
        }
        Some(_) => Ok(()),
    }
}

/// Starts the program; it has connected.
fn start(scene: &mut Scene) -> Result<Peer, Stop> {
    let (port, address) = scene.listen_with_buffers(Some(ROOM))?;
    scene.start(&[&address.to_string()])?;
    connected(scene, port, &OUTPUT)
}

/// The input has ended, and all is at rest: the server must have all of it and the end,
/// and the program must still listen.
fn half_closed(scene: &Scene, peer: Peer, question: &[u8]) -> Outcome {
    let heard = scene.heard(peer).len();
    let all = scene.heard(peer) == question;
    let seen = format!(
        "the server has heard {heard} of {} bytes, and {}",
        question.len(),
        match scene.end_of(peer) {
            None => "no end",
            Some(End::Fin) => "the end (FIN)",
            Some(End::Reset) => "then the connection was broken off (RST)",
        }
    );
    let Some(end) = scene.end_of(peer) else {
        let seen = format!("{seen}; {}", scene.doing_all());
        return Err(if !listens(scene, peer) {
            OUTPUT.hung(seen)
        } else if all {
            NEVER_SHUTS.hung(seen)
        } else {
            READS_TOO_EARLY.hung(seen)
        });
    };
    if !all || end != End::Fin {
        return Err(NOT_ALL.seen(seen));
    }
    // The program's, or those of a child that listens for it.
    if scene.holders_of(peer).is_empty() {
        let seen = format!("{seen}; {}", scene.so_far("that"));
        let state = scene.state_of(peer);
        let seen = format!("{seen}; its end of the connection is {state}");
        return Err(CLOSES.seen(seen));
    }
    Ok(())
}

/// Whether a thread of the program, or of a child, waits for something from the server.
fn listens(scene: &Scene, peer: Peer) -> bool {
    let threads = |(pid, own): (i32, i32)| {
        scene.threads_of(pid).into_iter().map(move |thread| (own, thread.waiting))
    };
    let holders = scene.holders_of(peer).into_iter();
    holders.flat_map(threads).any(|(own, waiting)| match waiting {
        Waiting::Read(fd) | Waiting::Splice(fd, _) => fd == own,
        Waiting::Descriptors => true,
        _ => false,
    })
}

/// The server ends; looks at all that the program has printed.
fn finish(scene: &mut Scene, peer: Peer, answer: &[u8]) -> Outcome {
    scene.shut(peer);
    rest(scene)?;
    has_printed(scene, answer)
}

/// Both directions have ended.
fn has_printed(scene: &Scene, answer: &[u8]) -> Outcome {
    let Some(exit) = scene.exit() else { return Err(scene.no_end()) };
    let out = scene.out_bytes();
    if out == answer && exit == Exit::Code(0) {
        return Ok(());
    }
    let seen = format!(
        "{}; that is {} of {} bytes of the answer. {}",
        scene.so_far("the end of both directions"),
        out.len(),
        answer.len(),
        scene.last_words()
    );
    let cut = exit == Exit::Code(0) && answer.starts_with(out);
    Err(if cut { &ONE_READ } else { &OUTPUT }.seen(seen.trim_end()))
}
