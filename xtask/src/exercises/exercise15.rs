use super::{Case, Exercise};
use crate::scene::{
    Datagram, Exit, Mailbox, Misconception, Outcome, Scene, Settled, Stop, quote,
    quote_bytes,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise15",
    title: "A UDP request with timeout and retry",
    lesson: "33_udp_connect",
    hints: &[
        "Go through what can come: nothing, an error, an empty datagram, one that \
         is cut, one from a stranger, an answer to the last question. Which of them \
         ends the waiting, and what tells them apart?",
        "connect: then the kernel lets nobody else through, and tells you of \
         ECONNREFUSED. The number tells old answers from new ones. Room for one \
         byte more than an answer has shows that it is longer (or MSG_TRUNC, \
         recv(2)).",
        "Two loops. The outer one counts the requests: send, and note when the \
         limit will be over (Instant::now() + limit). The inner one receives until \
         then: an answer ends both loops, a limit that is over ends the inner one, \
         anything else is dropped.",
        "Before each recv set its limit to what is left until then \
         (set_read_timeout, or the timeout of poll); the whole limit again would \
         let every stray datagram prolong the waiting. recv with a limit fails with \
         EAGAIN (WouldBlock) when it is over.",
    ],
    cases: &[
        Case::new("questions and answers", questions_and_answers),
        Case::new("silence", silence),
        Case::new("the first request is lost", the_first_is_lost),
        Case::new("strangers", strangers),
        Case::new("answered twice", answered_twice),
        Case::new("an empty datagram", an_empty_datagram),
        Case::new("no number, or a longer one", no_number),
        Case::new("long answers", long_answers),
        Case::new("nobody there", nobody_there),
        Case::new("again and again", again_and_again),
    ],
};

const REQUEST: Misconception = Misconception {
    name: "request",
    expected: "for each question a datagram, `NUMBER QUESTION`, comes to the server",
    why: "The check is the server: what it does not get it cannot answer.",
    lesson: "32_udp",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "one line for each question: `> TEXT`, `no answer`, `too long` or \
               `nobody there`; status 0 when the input ends",
    why: "The check reads the output as another program would.",
    lesson: "32_udp",
};

const ASKS_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "the program sleeps until a datagram comes or the limit is over",
    why: "To look now and then whether something is there keeps the processor busy \
          with nothing, or is late. recv with a limit (SO_RCVTIMEO, socket(7); \
          set_read_timeout), and poll, sleep until one of both happens.",
    lesson: "32_udp",
};

const WAITS_FOR_EVER: Misconception = Misconception {
    name: "waits-for-ever",
    expected: "the program waits with a limit",
    why: "It sleeps in a call that only a datagram can end. UDP promises none: a \
          request that is lost has no answer, and nobody says so. SO_RCVTIMEO \
          (socket(7); set_read_timeout) gives recv a limit: EAGAIN says that it is \
          over. poll takes one with each call.",
    lesson: "32_udp",
};

const OTHER_LIMIT: Misconception = Misconception {
    name: "other-limit",
    expected: "the limit is so many milliseconds as the argument says",
    why: "It waits longer than it was told, or not so long. Is LIMIT taken for \
          seconds, or not looked at? SO_RCVTIMEO (socket(7)) takes seconds and \
          microseconds, and 0 is no limit; poll takes milliseconds.",
    lesson: "32_udp",
};

const GIVES_UP_EARLY: Misconception = Misconception {
    name: "gives-up-early",
    expected: "TRIES requests are sent before the program says `no answer`",
    why: "One lost datagram is no reason to give up: that happens whenever a buffer \
          is full. That is why the request is sent again.",
    lesson: "32_udp",
};

const NEVER_GIVES_UP: Misconception = Misconception {
    name: "never-gives-up",
    expected: "after TRIES requests without an answer the program says `no answer`",
    why: "The server may be gone for good. Somebody waits for a line, be it a bad \
          one, and the network for the program to be quiet.",
    lesson: "32_udp",
};

const NEW_NUMBER: Misconception = Misconception {
    name: "new-number",
    expected: "a request that is sent again is the same datagram as before",
    why: "It has another number. The answer to the first request may only be late; \
          under a new number it is thrown away, and a server that is slower than \
          the limit is never heard. The number is the question's, not the \
          datagram's.",
    lesson: "33_udp_connect",
};

const NEW_SOCKET: Misconception = Misconception {
    name: "new-socket",
    expected: "a request that is sent again comes from the same port",
    why: "Another socket sent it, and the first one is closed. The answer to the \
          first request may only be late; now it goes to a port where nobody is.",
    lesson: "33_udp_connect",
};

const SAME_NUMBER: Misconception = Misconception {
    name: "same-number",
    expected: "each question has a number that no other question has",
    why: "Two questions with one number: an answer that comes late, or twice, fits \
          both.",
    lesson: "33_udp_connect",
};

const ACCEPTS_STRANGER: Misconception = Misconception {
    name: "accepts-stranger",
    expected: "only what comes from the server's address and port is an answer",
    why: "A UDP socket takes what anybody sends to its port, and a number can be \
          guessed. connect lets the kernel keep strangers out; without it the \
          program has to look at the sender that recvfrom tells, at the address and \
          at the port.",
    lesson: "33_udp_connect",
};

const LATE_DUPLICATE: Misconception = Misconception {
    name: "late-duplicate",
    expected: "an answer that has the number of an earlier question is dropped",
    why: "A datagram can come twice, and the answers to two requests do. The second \
          one waits in the buffer and is the first to be read after the next \
          question. To empty the buffer before is not enough: it may come a moment \
          later. Compare the numbers.",
    lesson: "33_udp_connect",
};

const EMPTY_TAKEN_FOR_END: Misconception = Misconception {
    name: "empty-taken-for-end",
    expected: "an empty datagram is dropped, and the waiting goes on",
    why: "recv returns 0 for it. With a stream that is the end; UDP has none: it is \
          a datagram with nothing in it, and more may come.",
    lesson: "32_udp",
};

const STRAY_AS_ANSWER: Misconception = Misconception {
    name: "stray-as-answer",
    expected: "an answer begins with the question's number and a blank",
    why: "The number ends at the blank: 10 and 12 begin with 1, too, and are the \
          numbers of other questions. What begins with no number at all answers \
          none. Take the word before the first blank, and compare all of it.",
    lesson: "33_udp_connect",
};

const OTHER_TEXT: Misconception = Misconception {
    name: "other-text",
    expected: "TEXT is all that comes after the number's blank, printed as it came",
    why: "It may be empty: an answer with no text is an answer, too. And blanks may \
          stand around it: only the server knows what they mean. A datagram has a \
          length, so no byte of it is there to mark its end, as that of a line is.",
    lesson: "32_udp",
};

const DIES_OF_STRAYS: Misconception = Misconception {
    name: "dies-of-strays",
    expected: "whatever is no answer is dropped, and the waiting goes on",
    why: "Anything can come to a port: without a blank, without a number, not even \
          text. An error that ends the program (`?`, unwrap) puts its life into the \
          hands of whoever sends that. A datagram that makes no sense is as good as \
          none.",
    lesson: "33_udp_connect",
};

const SENDS_ON_STRAYS: Misconception = Misconception {
    name: "sends-on-strays",
    expected: "a request is sent again only when the limit is over",
    why: "A datagram that is no answer has made the program send its request again, \
          and count a try. The server answers each request; if each answer too many \
          calls forth a request too many, it doubles for ever.",
    lesson: "33_udp_connect",
};

const TRUNCATION_UNSEEN: Misconception = Misconception {
    name: "truncation-unseen",
    expected: "an answer is printed whole, or `too long` is",
    why: "What does not fit into the buffer of recv is cut off and gone, and recv \
          does not say so. Room for one byte more than an answer may have shows it, \
          and so does MSG_TRUNC.",
    lesson: "32_udp",
};

const FULL_TAKEN_FOR_CUT: Misconception = Misconception {
    name: "full-taken-for-cut",
    expected: "an answer of 1000 bytes is an answer",
    why: "That the buffer is full does not mean that something was cut off: it may \
          just fit. Room for one byte more, or MSG_TRUNC, tells the two apart.",
    lesson: "32_udp",
};

const PRINTS_TOO_LONG: Misconception = Misconception {
    name: "prints-too-long",
    expected: "`too long` is printed for an answer of more than 1000 bytes",
    why: "Who asks has room for so much and no more. The number before the text \
          counts.",
    lesson: "32_udp",
};

const REFUSAL_UNSEEN: Misconception = Misconception {
    name: "refusal-unseen",
    expected: "`nobody there` is printed as soon as the kernel knows it",
    why: "The host has answered with an ICMP message that nobody has that port. The \
          kernel tells it to a socket that is connected to it, as an error of the \
          next call, recv or send. To a socket that uses sendto only it says \
          nothing.",
    lesson: "33_udp_connect",
};

const DIES_OF_REFUSAL: Misconception = Misconception {
    name: "dies-of-refusal",
    expected: "after `nobody there` the program goes on with the next question",
    why: "ECONNREFUSED says that nobody was there for one datagram. The socket is as \
          good as before, and the server may be back.",
    lesson: "33_udp_connect",
};

const STRAYS_PROLONG: Misconception = Misconception {
    name: "strays-prolong",
    expected: "the limit runs from the request, whatever comes meanwhile",
    why: "With each datagram that is no answer it waits for the whole limit again. \
          Who sends one now and then can keep it waiting for ever. Note when the \
          limit will be over, and wait for what is left.",
    lesson: "33_udp_connect",
};

/// Nothing that a case does takes so long: a limit that is never over.
const LONG: &str = "60000";
/// Over soon.
const SHORT: &str = "30";
/// Never used up.
const MANY: &str = "100000";

/// What has come to the server.
struct Request {
    number: String,
    from: SocketAddr,
}

impl Request {
    fn answer(&self, text: &str) -> String {
        format!("{} {text}", self.number)
    }
}

/// The case's server, and what the program is to do.
struct Server {
    mailbox: Mailbox,
    address: SocketAddr,
}

fn questions_and_answers(scene: &mut Scene) -> Outcome {
    let server = start(scene, LONG, "3")?;
    let first = ask(scene, &server, "what is a port")?;
    let settled = scene.wait_while_awake(|s| requests(s, &server) > 1)?;
    if requests(scene, &server) > 1 {
        let seen =
            format!("the limit is {LONG} ms; a second request has come already");
        return Err(OTHER_LIMIT.seen(seen));
    }
    match settled {
        Settled::Busy => {
            let seen =
                format!("it was awake, though nothing came; {}", scene.doing());
            return Err(ASKS_AGAIN.seen(seen));
        }
        Settled::Blocked => return Err(WAITS_FOR_EVER.hung(scene.doing())),
        Settled::Asleep if !scene.listens() => {
            let seen = "no call that a datagram would end";
            return Err(ASKS_AGAIN.seen(format!("{}, in {seen}", scene.doing())));
        }
        _ => {}
    }
    answer(scene, &server, &first, "a number of 16 bits")?;
    let second = ask(scene, &server, "and an address")?;
    if first.number == second.number {
        let seen = format!("both questions have the number {}", first.number);
        return Err(SAME_NUMBER.seen(seen));
    }
    answer(scene, &server, &second, "one of 32 bits, in IPv4")?;
    // Blanks around both, and nothing at all.
    for (count, (question, text)) in (3..).zip([("  how so ", "  so "), ("", "")]) {
        let request = ask(scene, &server, question)?;
        scene.post(server.mailbox, request.answer(text), request.from)?;
        line(scene, count, &format!("> {text}"), &OTHER_TEXT)?;
    }
    finish(scene)
}

fn silence(scene: &mut Scene) -> Outcome {
    const TRIES: usize = 3;
    let server = start(scene, SHORT, &TRIES.to_string())?;
    for (count, question) in (1..).zip(["is anybody there", "and now"]) {
        let before = requests(scene, &server);
        ask(scene, &server, question)?;
        let sent = |s: &Scene| requests(s, &server) - before;
        wait_for_limit(scene, |s| s.count_lines() >= count || sent(s) > TRIES)?;
        // Whatever is still to come.
        scene.wait_while_awake(|s| sent(s) > TRIES)?;
        same_each_time(scene, &server, before)?;
        let line = scene.lines().get(count - 1).cloned().unwrap_or_default();
        let sent = sent(scene);
        let seen = format!("TRIES is {TRIES}; a server that is silent got {sent}");
        if sent > TRIES {
            return Err(NEVER_GIVES_UP.seen(seen));
        }
        if line != "no answer" {
            return Err(OUTPUT.so_far(scene, "requests without an answer"));
        }
        if sent < TRIES {
            return Err(GIVES_UP_EARLY.seen(format!("{seen} before “no answer”")));
        }
    }
    finish(scene)
}

/// Waits for what the program does when its short limit is over. On however slow a machine,
/// one that has slept for twenty times the limit, and was not woken once, has another.
fn wait_for_limit(scene: &mut Scene, goal: impl Fn(&Scene) -> bool) -> Outcome {
    let patience = Duration::from_millis(20 * SHORT.parse().unwrap_or(0));
    let (mut since, mut before, mut overslept) = (Instant::now(), Vec::new(), false);
    let settled = scene.wait(|s| {
        let threads = s.threads();
        if threads != before || !threads.iter().all(|t| t.waiting.is_asleep()) {
            (since, before) = (Instant::now(), threads);
        }
        overslept = since.elapsed() > patience;
        overslept || goal(s)
    })?;
    let seen = format!("the limit is {SHORT} ms; {}", scene.doing());
    match settled {
        Settled::Blocked => Err(WAITS_FOR_EVER.hung(seen)),
        _ if overslept && !goal(scene) => Err(OTHER_LIMIT.hung(seen)),
        _ => Ok(()),
    }
}

fn the_first_is_lost(scene: &mut Scene) -> Outcome {
    let server = start(scene, SHORT, MANY)?;
    let first = ask(scene, &server, "the time")?;
    wait_for_limit(scene, |s| requests(s, &server) > 1 || s.count_lines() > 0)?;
    if requests(scene, &server) < 2 {
        let what = "one request without an answer, of many that it may send,";
        return Err(GIVES_UP_EARLY.seen(scene.so_far(what)));
    }
    same_each_time(scene, &server, 0)?;
    // The answer to the first request, which only seemed to be lost, and another one.
    scene.post(server.mailbox, first.answer("noon"), first.from)?;
    scene.post(server.mailbox, first.answer("noon"), first.from)?;
    line(scene, 1, "> noon", &OUTPUT)?;
    // Requests may go on until the program has seen the answer; all of them are
    // there now.
    scene.wait_while_awake(|_| false)?;
    let second = ask(scene, &server, "the date")?;
    scene.post(server.mailbox, second.answer("today"), second.from)?;
    line(scene, 2, "> today", &LATE_DUPLICATE)?;
    finish(scene)
}

fn strangers(scene: &mut Scene) -> Outcome {
    let server = start(scene, LONG, "3")?;
    let (other_port, _) = scene.mailbox()?;
    let port = server.address.port();
    let other_address =
        scene.mailbox_at(SocketAddr::from(([127, 0, 0, 2], port)))?;
    let request = ask(scene, &server, "who are you")?;
    for stranger in [other_port, other_address] {
        scene.post(stranger, request.answer("a stranger"), request.from)?;
    }
    scene.post(server.mailbox, request.answer("the server"), request.from)?;
    line(scene, 1, "> the server", &ACCEPTS_STRANGER)?;
    // One that comes before the question, and guesses.
    let guess = request.number.parse::<u64>().unwrap_or(0).wrapping_add(1);
    scene.post(other_port, format!("{guess} a stranger"), request.from)?;
    let request = ask(scene, &server, "and now")?;
    scene.post(server.mailbox, request.answer("still me"), request.from)?;
    line(scene, 2, "> still me", &ACCEPTS_STRANGER)?;
    sent_once_each(scene, &server, 2)?;
    finish(scene)
}

fn answered_twice(scene: &mut Scene) -> Outcome {
    let server = start(scene, LONG, "3")?;
    let first = ask(scene, &server, "one")?;
    for _ in 0..2 {
        scene.post(server.mailbox, first.answer("first"), first.from)?;
    }
    line(scene, 1, "> first", &OUTPUT)?;
    let before = requests(scene, &server);
    scene.send("two\n");
    scene.wait_while_awake(|s| {
        requests(s, &server) > before || s.count_lines() > 1
    })?;
    if scene.count_lines() > 1 {
        return line(scene, 2, "> second", &LATE_DUPLICATE);
    }
    let second = request(scene, &server, before, "two")?;
    if first.number == second.number {
        let seen = format!("both questions have the number {}", first.number);
        return Err(SAME_NUMBER.seen(seen));
    }
    // And one that comes after the question, however long.
    let late = first.answer(&"first ".repeat(300));
    scene.post(server.mailbox, first.answer("first"), first.from)?;
    scene.post(server.mailbox, late, first.from)?;
    scene.wait_while_awake(|s| s.count_lines() > 1)?;
    sent_once_each(scene, &server, 2)?;
    scene.post(server.mailbox, second.answer("second"), second.from)?;
    line(scene, 2, "> second", &LATE_DUPLICATE)?;
    sent_once_each(scene, &server, 2)?;
    finish(scene)
}

fn an_empty_datagram(scene: &mut Scene) -> Outcome {
    let server = start(scene, LONG, "3")?;
    let request = ask(scene, &server, "anything new")?;
    scene.post(server.mailbox, "", request.from)?;
    scene.wait_while_awake(|s| s.count_lines() > 0)?;
    if scene.exit().is_none() {
        sent_once_each(scene, &server, 1)?;
    }
    scene.post(server.mailbox, request.answer("nothing"), request.from)?;
    line(scene, 1, "> nothing", &EMPTY_TAKEN_FOR_END)?;
    finish(scene)
}

fn no_number(scene: &mut Scene) -> Outcome {
    let server = start(scene, LONG, "3")?;
    let request = ask(scene, &server, "which number")?;
    let longer = format!("{}0 other", request.number);
    let strays: [&[u8]; 4] = [b"hello", b"x y", b"\xff\xfe \x80", longer.as_bytes()];
    for stray in strays {
        scene.post(server.mailbox, stray, request.from)?;
        let settled = scene.wait_while_awake(|s| s.count_lines() > 0);
        let what = format!("{} to question {}", quote_bytes(stray), request.number);
        // Also by a panic.
        if scene.exit().is_some() {
            let seen = format!("{}. {}", scene.so_far(&what), scene.last_words());
            return Err(DIES_OF_STRAYS.seen(seen));
        }
        settled?;
        if scene.count_lines() > 0 {
            return Err(STRAY_AS_ANSWER.seen(scene.so_far(&what)));
        }
        sent_once_each(scene, &server, 1)?;
    }
    answer(scene, &server, &request, "this one")?;
    sent_once_each(scene, &server, 1)?;
    finish(scene)
}

fn long_answers(scene: &mut Scene) -> Outcome {
    /// What an answer has at most, with its number.
    const MOST: usize = 1000;
    let server = start(scene, LONG, "3")?;
    for (count, size) in (1..).zip([MOST, MOST + 1, 60_000, 20]) {
        let request = ask(scene, &server, "tell me all")?;
        let begin = request.answer("");
        let text: String = (0..size - begin.len())
            .map(|n| char::from(b'a' + (n % 26) as u8))
            .collect();
        scene.post(server.mailbox, format!("{begin}{text}"), request.from)?;
        scene.wait_while_awake(|s| s.count_lines() >= count)?;
        let lines = scene.lines();
        let Some(line) = lines.get(count - 1) else {
            let what = format!("an answer of {size} bytes");
            return Err(OUTPUT.so_far(scene, &what));
        };
        let printed = line.strip_prefix("> ");
        let seen = match printed {
            Some(text) => format!(
                "the answer had {size} bytes with its number; it has printed “> ”, \
                 and {} bytes of {}",
                text.len(),
                size - begin.len()
            ),
            None => format!(
                "the answer had {size} bytes with its number; it has printed {}",
                quote(line)
            ),
        };
        match printed {
            None if line != "too long" => return Err(OUTPUT.seen(seen)),
            None if size <= MOST => return Err(FULL_TAKEN_FOR_CUT.seen(seen)),
            None => {}
            Some(printed) if printed == text && size > MOST => {
                return Err(PRINTS_TOO_LONG.seen(seen));
            }
            Some(printed) if printed == text => {}
            Some(printed) if text.starts_with(printed) => {
                return Err(TRUNCATION_UNSEEN.seen(seen));
            }
            Some(_) => return Err(OUTPUT.seen(seen)),
        }
    }
    finish(scene)
}

/// There is nobody, then somebody, then nobody.
fn nobody_there(scene: &mut Scene) -> Outcome {
    let address = scene.reserve_port()?;
    scene.start(&[&address.to_string(), LONG, "3"])?;
    refused(scene, 1)?;
    let mailbox = scene.mailbox_at(address)?;
    let server = Server { mailbox, address };
    let request = ask(scene, &server, "are you back")?;
    answer(scene, &server, &request, "yes")?;
    scene.close_mailbox(mailbox);
    refused(scene, 3)?;
    finish(scene)
}

/// Asks a server that is not there; the answer is line number `count`.
fn refused(scene: &mut Scene, count: usize) -> Outcome {
    scene.send("is anybody there\n");
    let settled = scene.wait_while_awake(|s| s.count_lines() >= count)?;
    let line = scene.lines().get(count - 1).cloned();
    match line.as_deref() {
        Some("nobody there") if scene.exit().is_none() => Ok(()),
        Some("no answer") => Err(REFUSAL_UNSEEN.so_far(scene, "an ICMP error")),
        None if matches!(settled, Settled::Asleep | Settled::Blocked) => {
            let seen = format!("the error has come by ICMP; {}", scene.doing());
            Err(REFUSAL_UNSEEN.hung(seen))
        }
        None if scene.exit().is_some() => Err(dies(scene)),
        _ => Err(OUTPUT.so_far(scene, "a question to a port where nobody is")),
    }
}

fn dies(scene: &Scene) -> Stop {
    let how = scene.ending().unwrap_or_default();
    let said = scene.last_words();
    let seen =
        format!("nobody listened at the server's port; it ended ({how}) {said}");
    DIES_OF_REFUSAL.seen(seen.trim())
}

/// An old answer comes whenever the program has dropped the last one. Does it ask again
/// when the limit is over?
///
/// Both verdicts hold on however slow a machine. It is wrong if it goes on sleeping after
/// old answers that came when the limit had long been over. It is right if its request
/// came sooner than the limit after an old answer; if later, that says nothing, and the
/// next limit is watched.
fn again_and_again(scene: &mut Scene) -> Outcome {
    const LIMIT: Duration = Duration::from_millis(150);
    let server = start(scene, &LIMIT.as_millis().to_string(), MANY)?;
    let first = ask(scene, &server, "one")?;
    answer(scene, &server, &first, "first")?;
    let second = ask(scene, &server, "two")?;
    while !heeds_the_limit(scene, &server, &first, LIMIT)? {
        scene.is_in_time()?;
    }
    scene.post(server.mailbox, second.answer("second"), second.from)?;
    line(scene, 2, "> second", &LATE_DUPLICATE)?;
    finish(scene)
}

/// Whether the next request shows it; see [`again_and_again`].
fn heeds_the_limit(
    scene: &mut Scene,
    server: &Server,
    old: &Request,
    limit: Duration,
) -> Result<bool, Stop> {
    /// Old answers that it must have overslept.
    const OVERSLEPT: usize = 3;
    let sent = requests(scene, server);
    let more = |s: &Scene| requests(s, server) > sent || s.count_lines() > 1;
    let sleeps = |s: &Scene| s.threads().iter().all(|t| t.waiting.is_asleep());
    // When it sleeps its limit has begun.
    scene.wait_with_patience(|s| more(s) || sleeps(s))?;
    let begun = Instant::now();
    // When the last old answer came, and a moment at which the program slept after it.
    let mut last: Option<(SystemTime, SystemTime)> = None;
    let mut overslept = 0;
    while overslept < OVERSLEPT {
        let (now, posted) = (Instant::now(), SystemTime::now());
        scene.post(server.mailbox, old.answer("first"), old.from)?;
        scene.wait_with_patience(|s| {
            let next = now.elapsed() > limit / 30;
            more(s) || next && !s.has_unread_datagrams() && sleeps(s)
        })?;
        if scene.count_lines() > 1 || scene.exit().is_some() {
            line(scene, 2, "> second", &LATE_DUPLICATE)?;
        }
        if let Some(request) = scene.received(server.mailbox).get(sent) {
            return Ok(last.is_some_and(|(posted, slept)| {
                let after = request.came.duration_since(posted);
                request.came > slept && after.is_ok_and(|after| after < limit)
            }));
        }
        last = Some((posted, SystemTime::now()));
        overslept += usize::from(now.duration_since(begun) > limit * 2);
    }
    let (time, limit) = (begun.elapsed().as_millis(), limit.as_millis());
    let seen = "an old answer came every few milliseconds";
    Err(STRAYS_PROLONG.seen(format!(
        "{seen}; {time} ms after the request the limit of {limit} ms was not over"
    )))
}

fn start(scene: &mut Scene, limit: &str, tries: &str) -> Result<Server, Stop> {
    let (mailbox, address) = scene.mailbox()?;
    scene.start(&[&address.to_string(), limit, tries])?;
    Ok(Server { mailbox, address })
}

fn requests(scene: &Scene, server: &Server) -> usize {
    scene.received(server.mailbox).len()
}

/// Asks the program to ask, and waits for the request.
fn ask(scene: &mut Scene, server: &Server, question: &str) -> Result<Request, Stop> {
    let (before, printed) = (requests(scene, server), scene.count_lines());
    scene.send(&format!("{question}\n"));
    scene.wait_with_patience(|s| {
        requests(s, server) > before || s.count_lines() > printed
    })?;
    request(scene, server, before, question)
}

/// The request that came after so many others.
fn request(
    scene: &Scene,
    server: &Server,
    before: usize,
    question: &str,
) -> Result<Request, Stop> {
    let Some(datagram) = scene.received(server.mailbox).get(before) else {
        let what = format!("the question {}", quote(question));
        return Err(REQUEST.so_far(scene, &what));
    };
    let (text, from) = (datagram.text(), datagram.from);
    match text.split_once(' ') {
        Some((number, rest))
            if rest == question && number.parse::<u64>().is_ok() =>
        {
            Ok(Request { number: number.to_owned(), from })
        }
        _ => {
            let question = quote(question);
            let seen = format!("for the question {question} came {}", quote(&text));
            Err(REQUEST.seen(seen))
        }
    }
}

/// Answers, and looks at what is printed. It is the last line so far.
fn answer(
    scene: &mut Scene,
    server: &Server,
    request: &Request,
    text: &str,
) -> Outcome {
    let count = scene.count_lines() + 1;
    scene.post(server.mailbox, request.answer(text), request.from)?;
    line(scene, count, &format!("> {text}"), &OUTPUT)
}

/// Line number `count` is this one, or the program believes what `wrong` says.
fn line(
    scene: &mut Scene,
    count: usize,
    right: &str,
    wrong: &Misconception,
) -> Outcome {
    let settled = scene.wait_while_awake(|s| s.count_lines() >= count)?;
    let lines = scene.lines();
    match lines.get(count - 1) {
        Some(line) if line == right => Ok(()),
        Some(line) => {
            let (line, right) = (quote(line), quote(right));
            Err(wrong.seen(format!("line {count} is {line} and not {right}")))
        }
        None if settled == Settled::Asleep && scene.has_unread_datagrams() => {
            Err(ASKS_AGAIN.seen(format!("an answer is there; {}", scene.doing())))
        }
        None => Err(wrong.so_far(scene, &format!("the answer to question {count}"))),
    }
}

/// All requests after the first so many are the same datagram, from the same port.
fn same_each_time(scene: &Scene, server: &Server, before: usize) -> Outcome {
    let all = &scene.received(server.mailbox)[before..];
    let same = |d: &Datagram| (&d.bytes, d.from) == (&all[0].bytes, all[0].from);
    let Some(other) = all.iter().find(|datagram| !same(datagram)) else {
        return Ok(());
    };
    let tell =
        |d: &Datagram| format!("{} from port {}", quote(&d.text()), d.from.port());
    let seen = format!("first {}, then {}", tell(&all[0]), tell(other));
    let number = |d: &Datagram| d.text().split_once(' ').map(|(n, _)| n.to_owned());
    Err(if other.bytes == all[0].bytes {
        NEW_SOCKET.seen(seen)
    } else if number(other) != number(&all[0]) {
        NEW_NUMBER.seen(seen)
    } else {
        REQUEST.seen(seen)
    })
}

/// The limit is not over, so there has been one request for each question.
fn sent_once_each(scene: &Scene, server: &Server, questions: usize) -> Outcome {
    match requests(scene, server) {
        n if n > questions => {
            let seen = format!("the limit is {LONG} ms; {n} requests have come");
            Err(SENDS_ON_STRAYS.seen(format!("{seen} for {questions} questions")))
        }
        _ => Ok(()),
    }
}

fn finish(scene: &mut Scene) -> Outcome {
    let lines = scene.count_lines();
    if scene.finish()? == Exit::Code(0) && scene.count_lines() == lines {
        return Ok(());
    }
    Err(OUTPUT.so_far(scene, "the end of its input"))
}
