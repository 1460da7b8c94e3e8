use super::clients::{SPINS_AT_END, connected, is_idle, rest};
use super::{Case, Exercise};
use crate::scene::{
    Exit, Misconception, Outcome, Peer, Scene, Settled, Stop, quote,
};
use nix::sys::signal::Signal;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise12",
    title: "read_full and write_full on a raw descriptor",
    lesson: "28_stream",
    hints: &[
        "What can read(2) return? As many bytes as were asked for; fewer; 0; -1 with \
         EINTR in errno; -1 with something else. Write down what each of them \
         means here, and then the same for write(2).",
        "Both functions are a loop with one variable: how many bytes are done. Each \
         turn asks for what is missing, at the place where the last one stopped: \
         `&mut buffer[done..]`, `&bytes[done..]`.",
        "At 0 read_full returns what it has: it is the end, and asking again would \
         bring 0 for ever. At EINTR both ask again and keep what they have; \
         `std::io::Error::last_os_error().kind()` is `Interrupted` then. All other \
         errors are returned.",
        "A slice keeps count by itself: `while !bytes.is_empty()`, and after n \
         bytes `bytes = &bytes[n..]`. std has `write_all`, which does just this; \
         `read_exact` is not read_full: it does not say how much came before the \
         end.",
    ],
    cases: &[
        Case::new("byte by byte", byte_by_byte),
        Case::new("several in one piece", several_in_one_piece),
        Case::new("an end within a record", end_within),
        Case::new("signals while it reads", signals_while_it_reads),
        Case::new("signals while it writes", signals_while_it_writes),
        Case::new("broken off while it reads", broken_off_while_it_reads),
        Case::new("broken off while it writes", broken_off_while_it_writes),
        Case::new("ended, then broken off", ended_then_broken_off),
    ],
};

const ONE_READ: Misconception = Misconception {
    name: "one-read-is-enough",
    expected: "a record is sent back when all of it has come, in however many pieces",
    why: "read(2) returns as soon as there is something, and then what there is: one \
          byte, if only one has come. The sender's pieces, the network and the \
          buffers decide how much that is. Who wants more has to read again.",
    lesson: "28_stream",
};

const STARTS_OVER: Misconception = Misconception {
    name: "starts-over",
    expected: "each read goes on behind what has been read before",
    why: "The call does not know of the one before it: it writes to the address that \
          it is given. If that is the start of the buffer again, or if the loop \
          begins anew after a signal, what had been read is lost. A descriptor \
          gives each byte once.",
    lesson: "28_stream",
};

const READS_TOO_MUCH: Misconception = Misconception {
    name: "reads-too-much",
    expected: "read_full takes the bytes of its record, and no others",
    why: "What follows a record may be there already, and read(2) takes as much as \
          it is asked for. Then the next record has no beginning. Ask for what is \
          missing: the length of the buffer less what is in it. In C who asks for \
          more writes behind the buffer too.",
    lesson: "28_stream",
};

const END_AS_ERROR: Misconception = Misconception {
    name: "end-as-error",
    expected: "at the end read_full returns what has come before it, and the program \
               ends with status 0",
    why: "0 from read(2) is no error: the other side has sent all that it wanted to. \
          What that means is for the caller to say, who has to learn how many bytes \
          there were. `read_exact` does not tell it: it returns UnexpectedEof.",
    lesson: "28_stream",
};

const EINTR_AS_END: Misconception = Misconception {
    name: "eintr-as-end",
    expected: "read_full goes on reading after a signal",
    why: "-1 with EINTR says that a handler has run before there was anything to \
          read. That is not the end: the other side has not even noticed. Only 0 is \
          the end.",
    lesson: "17_eintr",
};

const DIES_OF_EINTR: Misconception = Misconception {
    name: "dies-of-eintr",
    expected: "both functions go on after a signal",
    why: "-1 with EINTR says that a handler has run before a byte was moved. Nothing \
          has gone wrong and nothing is lost: call it again.",
    lesson: "17_eintr",
};

const ONE_WRITE: Misconception = Misconception {
    name: "one-write-is-enough",
    expected: "write_full returns when all has been written",
    why: "A write(2) that has to wait for room, and is interrupted by a signal, \
          returns how much it has written by then. It is no error, and what is left \
          is not sent by itself. (With O_NONBLOCK that happens without a signal.)",
    lesson: "28_stream",
};

const SENDS_AGAIN: Misconception = Misconception {
    name: "sends-again",
    expected: "each write goes on behind what has been written before",
    why: "What write(2) says it has written is on its way and cannot be taken back. \
          Who begins anew after a signal sends it twice. Go on with the rest: \
          `&bytes[n..]`.",
    lesson: "28_stream",
};

const ERROR_AS_END: Misconception = Misconception {
    name: "error-as-end",
    expected: "a connection that is broken off is an error: a status other than 0",
    why: "`n <= 0` throws two things into one: 0 is the end, which the other side has \
          announced; -1 says that something went wrong, here ECONNRESET. Whoever \
          takes that for an end takes half of the data for all of it.",
    lesson: "17_eintr",
};

const WRITE_ERROR_UNSEEN: Misconception = Misconception {
    name: "write-error-unseen",
    expected: "a write that fails makes write_full fail: a status other than 0",
    why: "-1 from write(2) with anything but EINTR says that the bytes will not \
          arrive, here with ECONNRESET or EPIPE. (EPIPE does not say that the other \
          side has heard enough.) Nobody but write_full hears of it.",
    lesson: "28_stream",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "each record comes back as soon as it is complete; after the end \
               `N records, M bytes more`, and status 0",
    why: "The check is the server: it counts and compares what comes back.",
    lesson: "28_stream",
};

/// Some times more than the buffers of both sides hold: they begin with 230 KB, and the
/// program's does not grow as long as the server does not read.
const LONG: usize = 1 << 20;
/// The server's buffers.
const ROOM: usize = 16 << 10;

fn byte_by_byte(scene: &mut Scene) -> Outcome {
    let peer = start(scene, 8)?;
    for (record, text) in [b"one byte", b"at atime"].into_iter().enumerate() {
        let before = 8 * record;
        for (count, byte) in (1..).zip(text) {
            scene.say(peer, [*byte]);
            rest(scene)?;
            let back = scene.heard(peer).len() - before;
            if count < 8 && (back > 0 || scene.exit().is_some()) {
                let seen = scene.so_far(&format!("{count} of 8 bytes of a record"));
                let seen = format!("{seen}; it has sent {back} bytes of it back");
                return Err(ONE_READ.seen(seen));
            }
        }
        let back = &scene.heard(peer)[before..];
        if back.starts_with(&text[7..]) {
            let (text, back) = (show(text), show(back));
            let seen = format!("{text} came byte by byte, and {back} went back");
            return Err(STARTS_OVER.seen(seen));
        }
        is_back(scene, peer, &b"one byteat atime"[..before + 8])?;
    }
    finish(scene, peer, "2 records, 0 bytes more", b"one byteat atime")
}

fn several_in_one_piece(scene: &mut Scene) -> Outcome {
    let all = b"number 1number 2number 3number 4";
    let peer = start(scene, 8)?;
    let mut said = 0;
    for until in [3, 20, 32] {
        scene.say(peer, &all[said..until]);
        said = until;
        rest(scene)?;
        let complete = said - said % 8;
        let heard = scene.heard(peer);
        if heard != &all[..complete] && is_idle(scene, peer) {
            let seen = format!(
                "{} came in the pieces “num”, “ber 1number 2numb” and “er 3number \
                 4”; after {said} bytes, of which the program has read all, {} went \
                 back",
                show(all),
                show(heard)
            );
            return Err(READS_TOO_MUCH.seen(seen));
        }
        is_back(scene, peer, &all[..complete])?;
    }
    finish(scene, peer, "4 records, 0 bytes more", all)
}

fn end_within(scene: &mut Scene) -> Outcome {
    let all = b"complete, and more";
    let peer = start(scene, 8)?;
    scene.say(peer, &all[..11]);
    rest(scene)?;
    is_back(scene, peer, &all[..8])?;
    scene.say(peer, &all[11..]);
    rest(scene)?;
    finish(scene, peer, "2 records, 2 bytes more", all)
}

fn signals_while_it_reads(scene: &mut Scene) -> Outcome {
    let all = b"one signtwo sign";
    let peer = start(scene, 8)?;
    let mut said = 0;
    for until in [0, 3, 7, 12] {
        scene.say(peer, &all[said..until]);
        said = until;
        rest(scene)?;
        let complete = said - said % 8;
        after_signals(scene, peer, &all[..complete])?;
        for _ in 0..2 {
            scene.signal_each_thread(Signal::SIGUSR1);
            let what = format!(
                "a signal while the program waited, {} of 8 bytes of a record had \
                 come,",
                said % 8
            );
            goes_on(scene, peer, &what, complete)?;
        }
    }
    scene.say(peer, &all[said..]);
    rest(scene)?;
    after_signals(scene, peer, all)?;
    finish(scene, peer, "2 records, 0 bytes more", all)
}

/// The records must be back although signals came within them.
fn after_signals(scene: &Scene, peer: Peer, expected: &[u8]) -> Outcome {
    let heard = scene.heard(peer);
    if heard == expected || !is_idle(scene, peer) {
        return is_back(scene, peer, expected);
    }
    let seen = format!(
        "signals came within a record, whose bytes were read before and after them; \
         all of it has come, {} should be back, and {} is; {}",
        show(expected),
        show(heard),
        scene.doing()
    );
    Err(STARTS_OVER.seen(seen))
}

fn signals_while_it_writes(scene: &mut Scene) -> Outcome {
    let all = counted();
    let peer = start_and_fill(scene, &all)?;
    for count in 1..=2 {
        scene.signal_each_thread(Signal::SIGUSR1);
        let what = format!("signal {count} while the program waited to write");
        goes_on(scene, peer, &what, 0)?;
    }
    scene.hold(peer, false);
    rest(scene)?;
    let heard = scene.heard(peer);
    if heard.len() < all.len() && all.starts_with(heard) {
        let seen = format!(
            "a record of {} bytes had to go back; signals came while the program \
             waited to write. It has sent {} bytes and {}",
            all.len(),
            heard.len(),
            match scene.exit() {
                None => format!("goes on: {}", scene.doing()),
                Some(exit) => format!("ended ({exit:?})"),
            }
        );
        return Err(ONE_WRITE.seen(seen));
    }
    if heard != all {
        let same = heard.iter().zip(&all).take_while(|(a, b)| a == b).count();
        let seen = format!(
            "a record of {} bytes had to go back; signals came while the program \
             waited to write. It has sent {} bytes, right up to byte {same}",
            all.len(),
            heard.len()
        );
        // Its first bytes may happen to be right at this place.
        let starts = |back| heard[same - back..].starts_with(&all[..64]);
        let again = (0..8.min(same)).any(starts);
        let from = "; what follows is the record from its start";
        return Err(match again {
            true => SENDS_AGAIN.seen(seen + from),
            false => OUTPUT.seen(seen),
        });
    }
    finish(scene, peer, "1 records, 0 bytes more", &all)
}

/// Between two records. Within one the program would have something to send back, which
/// fails with EPIPE: whether that comes out is seen below.
fn broken_off_while_it_reads(scene: &mut Scene) -> Outcome {
    let peer = start(scene, 8)?;
    scene.say(peer, b"a record");
    rest(scene)?;
    is_back(scene, peer, b"a record")?;
    scene.break_off(peer);
    let seen = "a record had come, then the connection was broken off (RST)";
    fails(scene, seen, &ERROR_AS_END)
}

fn broken_off_while_it_writes(scene: &mut Scene) -> Outcome {
    let peer = start_and_fill(scene, &counted())?;
    scene.break_off(peer);
    let seen = "the program waited to write, then the connection was broken off \
                (RST)";
    fails(scene, seen, &WRITE_ERROR_UNSEEN)
}

/// After FIN a reset is reported as EPIPE, and not as ECONNRESET.
fn ended_then_broken_off(scene: &mut Scene) -> Outcome {
    let peer = start_and_fill(scene, &counted())?;
    scene.shut(peer);
    rest(scene)?;
    scene.break_off(peer);
    let seen = "the server had sent all and ended its direction (FIN); the program \
                waited to write, then the connection was broken off (RST)";
    fails(scene, seen, &WRITE_ERROR_UNSEEN)
}

/// Bytes of which no part is like another.
fn counted() -> Vec<u8> {
    (1..=LONG as u32 / 4)
        .map(|n| n.wrapping_mul(0x9E37_79B1))
        .flat_map(u32::to_be_bytes)
        .collect()
}

/// Starts the program; it has connected and waits for the first record.
fn start(scene: &mut Scene, size: usize) -> Result<Peer, Stop> {
    let (port, address) = scene.listen_with_buffers(Some(ROOM))?;
    scene.start(&[&address.to_string(), &size.to_string()])?;
    connected(scene, port, &OUTPUT)
}

/// Starts the program and sends one long record, and takes nothing back yet: the
/// program waits for room in the middle of it.
fn start_and_fill(scene: &mut Scene, all: &[u8]) -> Result<Peer, Stop> {
    let peer = start(scene, all.len())?;
    scene.hold(peer, true);
    scene.say(peer, all);
    rest(scene)?;
    if scene.untaken(peer) > 0 || scene.exit().is_some() {
        let seen = scene.so_far(&format!("a record of {} bytes", all.len()));
        return Err(OUTPUT.seen(seen));
    }
    Ok(peer)
}

/// A signal has come. So far so many bytes were to be sent back.
fn goes_on(scene: &mut Scene, peer: Peer, what: &str, back: usize) -> Outcome {
    rest(scene)?;
    let seen = scene.so_far(what);
    let err = scene.err();
    if scene.exit().is_some_and(|exit| exit != Exit::Code(0)) {
        let known = err.contains("EINTR") || err.contains("Interrupted");
        let seen = format!("{seen}: {}", scene.last_words());
        return Err(if known { &DIES_OF_EINTR } else { &OUTPUT }.seen(seen));
    }
    let more = scene.heard(peer).len() - back;
    if more > 0 || scene.exit().is_some() {
        let seen = format!("{seen}; it has sent {more} bytes of the record back");
        return Err(EINTR_AS_END.seen(seen));
    }
    Ok(())
}

/// Just this must have come back by now.
fn is_back(scene: &Scene, peer: Peer, expected: &[u8]) -> Outcome {
    if scene.heard(peer) == expected && scene.exit().is_none() {
        return Ok(());
    }
    let seen = format!(
        "{}; {} should be back by now, {} is",
        scene.so_far("the bytes so far"),
        show(expected),
        show(scene.heard(peer))
    );
    Err(OUTPUT.seen(seen))
}

/// The server ends; looks at all that the program has sent and printed.
fn finish(scene: &mut Scene, peer: Peer, line: &str, back: &[u8]) -> Outcome {
    scene.shut(peer);
    if scene.settle()? == Settled::Busy {
        let seen = format!("the server has sent all and ended; {}", scene.doing());
        return Err(SPINS_AT_END.hung(seen));
    }
    let heard = scene.heard(peer);
    let exit = scene.exit();
    if exit.is_none() {
        return Err(scene.no_end());
    }
    if exit != Some(Exit::Code(0)) || heard.len() < back.len() {
        let seen = format!(
            "{}; {} of {} bytes came back. {}",
            scene.so_far("the server's end"),
            heard.len(),
            back.len(),
            scene.last_words()
        );
        return Err(END_AS_ERROR.seen(seen.trim_end()));
    }
    if heard != back || scene.lines() != [line] {
        let seen = scene.so_far("the server's end");
        let what = format!("{} bytes came back, {}", heard.len(), quote(line));
        return Err(OUTPUT.seen(format!("{seen}; {what} should be printed")));
    }
    Ok(())
}

/// The connection is gone: the program must say so.
fn fails(scene: &mut Scene, what: &str, unseen: &Misconception) -> Outcome {
    rest(scene)?;
    match scene.exit() {
        None => Err(scene.no_end()),
        Some(Exit::Code(0)) => {
            let out = quote(&scene.out());
            Err(unseen.seen(format!("{what}: status 0, and it has printed {out}")))
        }
        Some(_) => Ok(()),
    }
}

fn show(bytes: &[u8]) -> String {
    quote(&String::from_utf8_lossy(bytes))
}
