use super::clients::{SPINS_AT_END, connected, is_idle, rest};
use super::{Case, Exercise};
use crate::scene::{
    Exit, Misconception, Outcome, Peer, Scene, Settled, Stop, quote,
};
use lessons::proc;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise13",
    title: "A frame codec",
    lesson: "28_stream",
    hints: &[
        "A read may bring half a length, or two frames and a bit. So either never \
         read more than the rest of what you wait for, or keep what is left over \
         for the next time. Which of the two do you want?",
        "The first way needs the read_full of exercise 12 and nothing else: 4 bytes \
         for the length, then as many as the length says. How many bytes it has \
         read tells the end (0 of 4) from a message that was cut off.",
        "`u32::from_be_bytes` and `to_be_bytes` are the network byte order. Compare \
         the length with LIMIT before anything is made of that size. A message of 0 \
         bytes needs no read: one that asks for 0 bytes returns 0, and that is no \
         end.",
        "`receive` has four outcomes: a message, the end, cut off, too long. Make \
         them an enum; main prints its line and returns \
         `Ok(std::process::ExitCode::from(1))`. The second way is a Vec that grows \
         by what each read brings: as long as it holds a whole frame, take that \
         out (`drain`) before you read again.",
    ],
    cases: &[
        Case::new("a frame in one piece", in_one_piece),
        Case::new("byte by byte", byte_by_byte),
        Case::new("several in one piece", several_in_one_piece),
        Case::new("an empty message", empty_message),
        Case::new("messages that are no text", no_text),
        Case::new("a length of 4 GiB", four_gigabytes),
        Case::new("the longest message", longest_message),
        Case::new("cut off within a length", cut_off_in_length),
        Case::new("cut off behind a length", cut_off_behind_length),
        Case::new("cut off within a message", cut_off_in_message),
    ],
};

const BYTE_ORDER: Misconception = Misconception {
    name: "byte-order",
    expected: "the length has its most significant byte first, in both directions",
    why: "A number of 4 bytes lies in memory as the processor likes it, mostly with \
          the least significant byte first. On the wire the protocol decides, and \
          this one, as most, wants network byte order. 256 read from the wrong end \
          is 65,536. Use from_be_bytes and to_be_bytes (in C ntohl and htonl).",
    lesson: "28_stream",
};

const ONE_READ: Misconception = Misconception {
    name: "one-read-is-one-message",
    expected: "a message is answered when all of its frame has come, in however many \
               pieces, and it ends where its length says",
    why: "The stream keeps the order of the bytes and no borders. What was sent in one \
          piece may come in several, and what was sent in several may come in one; a \
          read returns what is there. Only the length tells where a message ends.",
    lesson: "28_stream",
};

const LOSES_NEXT: Misconception = Misconception {
    name: "loses-next",
    expected: "what comes behind a frame is the beginning of the next one",
    why: "A large read takes in more than the frame, and the stream gives each byte \
          once. Whoever forgets what is left over, after the first frame or after the \
          last whole one, takes something from the middle for the next length. Keep \
          the rest, or read no more than is missing.",
    lesson: "28_stream",
};

const HOLDS_BACK: Misconception = Misconception {
    name: "holds-back",
    expected: "all messages that have come are answered before the program waits for \
               more",
    why: "Several frames came with one read, the program has answered fewer, and \
          keeps the others until something more comes. The server waits for these \
          answers first. Take frames from what is there until none is whole; only \
          then read.",
    lesson: "28_stream",
};

const EMPTY_AS_END: Misconception = Misconception {
    name: "empty-as-end",
    expected: "a message of 0 bytes is answered by one of 0 bytes",
    why: "A length of 0 is a frame as any other: four bytes, and nothing behind them. \
          The end of the stream looks different: there is no length at all. (A read \
          that asks for 0 bytes returns 0 too, and says nothing of an end.)",
    lesson: "28_stream",
};

const NOT_TEXT: Misconception = Misconception {
    name: "takes-bytes-for-text",
    expected: "messages may consist of any bytes",
    why: "Not all sequences of bytes are UTF-8: a String refuses them, or replaces \
          some, and the length then fits no more. Nor does a 0 or a line feed end \
          anything here: the length does. A codec carries Vec<u8>.",
    lesson: "28_stream",
};

const NO_LIMIT: Misconception = Misconception {
    name: "no-limit",
    expected: "a length above the limit is refused before there is memory for it: \
               `too long after 1 messages`, and status 1",
    why: "Four bytes from a stranger say how much memory the program takes, or how long \
          it waits. 4 GiB here cost the sender 4 bytes; a few connections more and the \
          machine is out of memory. (A u32 also becomes negative as an i32.) Compare \
          first, then allocate.",
    lesson: "28_stream",
};

const OTHER_LIMIT: Misconception = Misconception {
    name: "other-limit",
    expected: "65,536 bytes are allowed, 65,537 are too long",
    why: "Both sides have to know the same limit, to the byte. It holds for the message \
          without its length.",
    lesson: "28_stream",
};

const CUT_OFF_UNSEEN: Misconception = Misconception {
    name: "cut-off-unseen",
    expected: "an end within a frame is told from the end: `cut off after 1 messages`, \
               and status 1",
    why: "0 from read(2) says that nothing more will come; whether that is an end or a \
          loss only the frames tell. Between two frames all is well. Within a length, \
          behind one, or within a message something is missing, and nobody else will \
          notice.",
    lesson: "28_stream",
};

const END_AS_ERROR: Misconception = Misconception {
    name: "end-as-error",
    expected: "an end between two frames is the end: status 0",
    why: "The server has sent whole messages and closed; it had no other way to say that \
          it is done. `read_exact` returns UnexpectedEof for that as well as for an end \
          within a length: it does not say whether it had read 0 bytes of 4 or 3.",
    lesson: "28_stream",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "each message is answered, in a frame, by its bytes in reverse order; at \
               last `end`, `cut off` or `too long after N messages`, with status 0 for \
               `end` and 1 for the others",
    why: "The check is the server: it compares each byte that comes back. The line is \
          for people; a script looks at the status, and only 1 tells it that something \
          is missing.",
    lesson: "28_stream",
};

/// What the starter says.
const LIMIT: usize = 65_536;

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

/// The answers to these messages.
fn answers(messages: &[&[u8]]) -> Vec<u8> {
    let answer =
        |message: &&[u8]| frame(&message.iter().rev().copied().collect::<Vec<_>>());
    messages.iter().flat_map(answer).collect()
}

/// 256, the length of the message, is 65,536 in the other byte order.
fn in_one_piece(scene: &mut Scene) -> Outcome {
    let message: Vec<u8> = (0..256).map(|n| b'a' + n as u8 % 26).collect();
    let right = answers(&[&message]);
    let peer = start(scene)?;
    scene.say(peer, frame(&message));
    rest(scene)?;
    let heard = scene.heard(peer).to_vec();
    if heard == right && scene.exit().is_none() {
        return finish(scene, peer, "end after 1 messages");
    }
    let seen = "a message of 256 bytes came, its length is 00 00 01 00";
    if heard.len() == right.len() && heard[..4] == 256_u32.to_le_bytes() {
        let seen = format!("{seen}; the length of the answer is 00 01 00 00");
        return Err(BYTE_ORDER.seen(seen));
    }
    if heard.is_empty() && scene.out().starts_with("too long") {
        let seen =
            format!("{seen}; the program has printed {}", quote(&scene.out()));
        return Err(BYTE_ORDER.seen(seen));
    }
    if heard.is_empty() && is_idle(scene, peer) {
        let doing = scene.doing();
        scene.say(peer, vec![b'.'; LIMIT - message.len()]);
        rest(scene)?;
        if scene.heard(peer).len() >= LIMIT {
            let seen =
                format!("{seen}, and the program took it for 65,536; {doing}");
            return Err(BYTE_ORDER.seen(seen));
        }
    }
    Err(wrong_answer(scene, peer, "a message of 256 bytes", &right))
}

fn byte_by_byte(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let messages: [&[u8]; 2] = [b"one", b"three"];
    let right = answers(&messages);
    let mut answered = 0;
    for message in messages {
        let all = frame(message);
        for (count, byte) in (1..).zip(&all) {
            scene.say(peer, [*byte]);
            let settled = rest(scene);
            let whole = count == all.len();
            if whole {
                answered += all.len();
            }
            let heard = scene.heard(peer);
            if heard != &right[..answered] || scene.exit().is_some() {
                let what = format!("{count} of the {} bytes of a frame", all.len());
                let seen = format!(
                    "{}, which came one at a time; {} bytes of answers should have \
                     come by now, {} have. {}",
                    scene.so_far(&what),
                    answered,
                    heard.len(),
                    scene.last_words()
                );
                return Err(ONE_READ.seen(seen.trim_end()));
            }
            settled?;
        }
    }
    finish(scene, peer, "end after 2 messages")
}

fn several_in_one_piece(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let messages: [&[u8]; 4] = [b"one", b"eleven", b"twenty-two", b"thirty-three"];
    let all: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
    let right = answers(&messages);
    // Three frames and half a length; then the other half and some of the message.
    let three = answers(&messages[..3]).len();
    let (first, second) = (three + 2, three + 9);
    scene.say(peer, &all[..first]);
    // Whatever it does, it is judged by its answers.
    let settled = rest(scene);
    let heard = scene.heard(peer).to_vec();
    let what = "three frames and half a length in one piece";
    if heard.len() > 4 && !right.starts_with(&heard[..4]) {
        let taken = u32::from_be_bytes([heard[0], heard[1], heard[2], heard[3]]);
        let seen = format!(
            "{}; the first message has 3 bytes, its answer has {taken}",
            scene.so_far(what)
        );
        return Err(ONE_READ.seen(seen));
    }
    let whole = [0, 1, 2].map(|n| answers(&messages[..n]).len());
    let fewer = whole.contains(&heard.len()) && right.starts_with(&heard);
    if fewer && is_idle(scene, peer) {
        let seen = format!("{}; it has answered fewer", scene.so_far(what));
        scene.say(peer, &all[first..]);
        // It may well end of this.
        let _ = rest(scene);
        let now = scene.heard(peer);
        let more = now.len() > heard.len() && right.starts_with(now);
        return Err(if more { &HOLDS_BACK } else { &LOSES_NEXT }.seen(seen));
    }
    if heard != right[..three] || scene.exit().is_some() {
        let misconception = if fewer { &LOSES_NEXT } else { &OUTPUT };
        return Err(misconception.seen(seen_of(scene, peer, what, &right[..three])));
    }
    settled?;
    let mut said = first;
    for until in [second, all.len()] {
        scene.say(peer, &all[said..until]);
        said = until;
        let settled = rest(scene);
        let answered = if said == all.len() { right.len() } else { three };
        if scene.heard(peer) != &right[..answered] || scene.exit().is_some() {
            let what = format!("{what}, and {} bytes more", said - first);
            let seen = seen_of(scene, peer, &what, &right[..answered]);
            return Err(LOSES_NEXT.seen(seen));
        }
        settled?;
    }
    finish(scene, peer, "end after 4 messages")
}

fn empty_message(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let messages: [&[u8]; 3] = [b"", b"", b"not empty"];
    for count in 1..=3 {
        scene.say(peer, frame(messages[count - 1]));
        let settled = rest(scene);
        let right = answers(&messages[..count]);
        if scene.heard(peer) != right || scene.exit().is_some() {
            let what = if count < 3 { "an empty message" } else { "two of them" };
            let seen = seen_of(scene, peer, what, &right);
            return Err(EMPTY_AS_END.seen(seen));
        }
        settled?;
    }
    finish(scene, peer, "end after 3 messages")
}

fn no_text(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let all: Vec<u8> = (0..=255).collect();
    let messages: [&[u8]; 2] = [b"a line\nand \0 another\n", &all];
    for count in 1..=2 {
        scene.say(peer, frame(messages[count - 1]));
        let settled = rest(scene);
        let right = answers(&messages[..count]);
        if scene.heard(peer) != right || scene.exit().is_some() {
            let what = match count {
                1 => "a message of two lines with a 0 in it",
                _ => "a message of all bytes from 0 to 255",
            };
            return Err(NOT_TEXT.seen(seen_of(scene, peer, what, &right)));
        }
        settled?;
    }
    finish(scene, peer, "end after 2 messages")
}

/// Its output is full, so that it is still there to be looked at when it refuses.
fn four_gigabytes(scene: &mut Scene) -> Outcome {
    let (port, address) = scene.listen()?;
    scene.start_with_full_output(&[&address.to_string()])?;
    let peer = connected(scene, port, &OUTPUT)?;
    scene.say(peer, frame(b"hello"));
    rest(scene)?;
    let right = answers(&[b"hello"]);
    if scene.heard(peer) != right || scene.exit().is_some() {
        return Err(wrong_answer(scene, peer, "a message", &right));
    }
    let before = peak(scene);
    scene.say(peer, u32::MAX.to_be_bytes());
    let settled = rest(scene);
    let what = "a length of 4,294,967,295 (ff ff ff ff)";
    let grown = peak(scene).saturating_sub(before);
    if grown >= 1 << 20 {
        let seen = format!("after {what} its address space grew by {grown} kB");
        return Err(NO_LIMIT.seen(seen));
    }
    if settled.is_err() && scene.exit().is_some() {
        let seen = format!("{}: {}", scene.so_far(what), scene.last_words());
        return Err(NO_LIMIT.seen(seen));
    }
    settled?;
    scene.let_output_go();
    rest(scene)?;
    is_refused(scene, what, &NO_LIMIT)
}

fn longest_message(scene: &mut Scene) -> Outcome {
    let peer = start(scene)?;
    let message: Vec<u8> =
        (0..LIMIT / 2).flat_map(|n| (n as u16).to_be_bytes()).collect();
    scene.say(peer, frame(&message));
    rest(scene)?;
    let right = answers(&[&message]);
    if scene.heard(peer) != right || scene.exit().is_some() {
        let what = "a message of 65,536 bytes";
        let misconception = match scene.out().starts_with("too long") {
            true => &OTHER_LIMIT,
            false => &OUTPUT,
        };
        return Err(misconception.seen(seen_of(scene, peer, what, &right)));
    }
    scene.say(peer, (LIMIT as u32 + 1).to_be_bytes());
    rest(scene)?;
    is_refused(scene, "a length of 65,537", &OTHER_LIMIT)
}

fn cut_off_in_length(scene: &mut Scene) -> Outcome {
    cut_off(scene, 2)
}

/// There is no byte of the message.
fn cut_off_behind_length(scene: &mut Scene) -> Outcome {
    cut_off(scene, 4)
}

fn cut_off_in_message(scene: &mut Scene) -> Outcome {
    cut_off(scene, 7)
}

/// The server ends after so many bytes of its second frame.
fn cut_off(scene: &mut Scene, bytes: usize) -> Outcome {
    let peer = start(scene)?;
    scene.say(peer, frame(b"first"));
    scene.say(peer, &frame(b"second")[..bytes]);
    scene.shut(peer);
    ends(scene)?;
    let seen = scene.so_far(&format!(
        "a message, {bytes} bytes of the next frame, which has 10, and the end"
    ));
    match (scene.exit(), &scene.lines()[..]) {
        (Some(exit), [line]) if line == "cut off after 1 messages" => {
            says_so_to_scripts(exit, seen)
        }
        (Some(Exit::Code(0)), _) => Err(CUT_OFF_UNSEEN.seen(seen)),
        (_, [line]) if line.starts_with("end") => Err(CUT_OFF_UNSEEN.seen(seen)),
        _ => Err(OUTPUT.seen(format!("{seen}. {}", scene.last_words()))),
    }
}

/// Starts the program; it has connected and waits for a message.
fn start(scene: &mut Scene) -> Result<Peer, Stop> {
    let (port, address) = scene.listen()?;
    scene.start(&[&address.to_string()])?;
    connected(scene, port, &OUTPUT)
}

/// The most that the program's address space has had so far, in kB.
fn peak(scene: &Scene) -> u64 {
    let file = format!("/proc/{}/status", scene.program());
    let text = proc::status_field(&file, "VmPeak").unwrap_or_default();
    text.trim_end_matches(" kB").parse().unwrap_or_default()
}

/// Tells what the program did, and what its answers are and should be.
fn seen_of(scene: &Scene, peer: Peer, what: &str, right: &[u8]) -> String {
    let seen = format!(
        "{}; its answers should be {}, and are {}. {}",
        scene.so_far(what),
        show(right),
        show(scene.heard(peer)),
        scene.last_words()
    );
    seen.trim_end().to_owned()
}

fn wrong_answer(scene: &Scene, peer: Peer, what: &str, right: &[u8]) -> Stop {
    OUTPUT.seen(seen_of(scene, peer, what, right))
}

fn is_refused(scene: &Scene, what: &str, known: &Misconception) -> Outcome {
    let seen = scene.so_far(&format!("a message and {what}"));
    match scene.exit() {
        Some(exit) if scene.lines() == ["too long after 1 messages"] => {
            says_so_to_scripts(exit, seen)
        }
        _ => Err(known.seen(seen)),
    }
}

/// The line is right; so must the status be.
fn says_so_to_scripts(exit: Exit, seen: String) -> Outcome {
    match exit {
        Exit::Code(1) => Ok(()),
        _ => Err(OUTPUT.seen(seen + "; the line is right, the status is not 1")),
    }
}

/// Waits until the program ends, which it must.
fn ends(scene: &mut Scene) -> Outcome {
    if scene.settle()? == Settled::Busy {
        let seen = format!("the server has ended; {}", scene.doing());
        return Err(SPINS_AT_END.hung(seen));
    }
    if scene.exit().is_none() {
        return Err(scene.no_end());
    }
    Ok(())
}

/// The server ends, between two frames. All answers were right so far.
fn finish(scene: &mut Scene, peer: Peer, line: &str) -> Outcome {
    let heard = scene.heard(peer).len();
    scene.shut(peer);
    ends(scene)?;
    let seen = scene.so_far("whole frames and the server's end");
    if scene.exit() != Some(Exit::Code(0)) {
        let seen = format!("{seen}. {}", scene.last_words());
        return Err(END_AS_ERROR.seen(seen));
    }
    if scene.lines() != [line] || scene.heard(peer).len() != heard {
        return Err(OUTPUT.seen(format!("{seen}; it should print {}", quote(line))));
    }
    Ok(())
}

/// The bytes, in hexadecimal; not all, if there are many.
fn show(bytes: &[u8]) -> String {
    const MOST: usize = 24;
    if bytes.is_empty() {
        return "none".to_owned();
    }
    let some = bytes.iter().take(MOST).map(|byte| format!("{byte:02x}"));
    let some = some.collect::<Vec<_>>().join(" ");
    match bytes.len() {
        ..=MOST => some,
        all => format!("{some} … ({all} bytes)"),
    }
}
