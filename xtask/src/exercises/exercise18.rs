use super::servers::{
    ECHO, ENDS, NO_END, ONE_AT_A_TIME, connect, echoes, echoes_much, farewell, rest,
    start, start_late, where_it_waits,
};
use super::{Case, Exercise};
use crate::cage::Report;
use crate::judge::Status;
use crate::scene::{
    End, Misconception, Outcome, Peer, Scene, Settled, Stop, Waiting, quote,
};
use lessons::proc::Bytes;
use std::net::SocketAddr;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise18",
    title: "A thread server for at most N clients",
    lesson: "39_thread_server",
    hints: &[
        "All threads share one table of descriptors: nothing is copied, and a number \
         that one of them closes is closed for all. Who owns the connection, and who \
         is the only one to close it?",
        "`thread::spawn(move || echo(client))`: the connection moves into the thread \
         and is closed at its end. Drop the handle, and the thread's stack is freed \
         when it ends. Not all clients say goodbye: what must happen to the slot if \
         a read or a write fails, or the thread panics?",
        "A slot is a value of a type whose `drop` gives it back: however the thread \
         ends, by `?` or by a panic, it is dropped. The number of free slots is a \
         Mutex<usize> that is locked to take one and to give one back, and not while \
         a client is served.",
        "The refused client gets its line from main, which then goes back to accept \
         (`continue`). Its socket is set to not block; after the line: \
         shutdown(Write), then one read into a large buffer, of which all results will \
         do. To close with unread input would be a reset. No error here may end the loop.",
    ],
    cases: &[
        Case::new("threads that start late", late_threads),
        Case::new("one too many", one_too_many),
        Case::new("several too many at once", too_many_at_once),
        Case::new("a connection broken off", broken_off),
        Case::new("a refused client that has spoken", refused_after_speaking),
        Case::new("a hundred clients", many_clients),
        Case::new("a quarter of a million bytes", many_bytes),
    ],
};

/// What a refused client reads.
const FULL: &str = "too many clients, come again\n";

const SHARED_CFD: Misconception = Misconception {
    name: "shared-cfd",
    expected: "each thread serves the client that it was started for",
    why: "Two threads look into one variable (in C: pthread_create with &cfd). A new \
          thread runs when it is its turn, and by then the accept loop may have put \
          the next client there. Give each thread the value, or memory of its own; in \
          Rust the connection moves into the thread.",
    lesson: "02_params",
};

const MAIN_CLOSES: Misconception = Misconception {
    name: "main-closes-client",
    expected: "a client's connection stays open until the client has sent its end",
    why: "After fork the parent closes its copy. Threads have no copies: they share \
          one table, and what main closes is closed for the thread that serves it. \
          Only the thread may close it, once, at its end.",
    lesson: "39_thread_server",
};

const TIME_LIMIT: Misconception = Misconception {
    name: "ends-silent-clients",
    expected: "a client may be silent as long as it likes, and is served all the same",
    why: "A read with a time limit (set_read_timeout, SO_RCVTIMEO, poll) comes back when \
          the time is over: nothing has come by then, and no more than that. It is not \
          the client's end. Wait without a limit: only a read of 0 or an error of the \
          connection ends it.",
    lesson: "37_nonblocking",
};

const NO_THREADS: Misconception = Misconception {
    name: "no-threads",
    expected: "each client is served by a thread of its own, in one process",
    why: "The clients are served, but by processes, or by one loop over all of them. \
          That is a good server too, and another exercise. Here threads are the \
          subject.",
    lesson: "39_thread_server",
};

const HOLDS_LOCK: Misconception = Misconception {
    name: "holds-the-lock",
    expected: "the lock of the slots is held for a moment, not while a client is served",
    why: "A thread has the lock and waits for its client; whoever wants a slot, or to \
          give one back, waits for that. A lock guards looking into the slots and \
          changing them. In Rust its guard lives to the end of its block: drop it \
          before the echo.",
    lesson: "09_mutex",
};

const NO_LIMIT: Misconception = Misconception {
    name: "no-limit",
    expected: "with N clients there, the next one is refused",
    why: "A server that starts a thread for everybody can be filled up by anybody. \
          Look for a free slot and take it in one step, before the thread starts; \
          who finds none is refused. (N clients are served, N + 1 are not.)",
    lesson: "39_thread_server",
};

const REFUSED_TOO_EARLY: Misconception = Misconception {
    name: "refused-too-early",
    expected: "N clients are served at the same time",
    why: "There was still a free slot. With N = 3 the third client finds two taken \
          and gets the last one; the fourth finds none.",
    lesson: "39_thread_server",
};

const WAITS_INSTEAD: Misconception = Misconception {
    name: "waits-instead-of-refusing",
    expected: "with N clients there, the next one is told so at once",
    why: "A server that waits for a free slot (a semaphore, a pool) leaves the client \
          in the dark: it is connected and hears nothing, perhaps for ever. Here it \
          has to be accepted and refused. So ask whether there is a slot, do not wait \
          for one.",
    lesson: "39_thread_server",
};

const WITHOUT_A_WORD: Misconception = Misconception {
    name: "refused-without-a-word",
    expected: "a refused client reads `too many clients, come again` and the end",
    why: "Who is only disconnected cannot know whether to come again. Write the line, \
          with its newline and nothing else, and then close.",
    lesson: "39_thread_server",
};

const REFUSED_BY_RESET: Misconception = Misconception {
    name: "refused-by-reset",
    expected: "a refused client reads the line and then the end, even if it has spoken",
    why: "The client had sent something before it was refused. To close a socket \
          while there is unread input is a reset, and that may destroy the line on \
          its way. Send the end (shutdown), read all that is there without waiting for \
          more, then close.",
    lesson: "30_reset",
};

const REFUSED_SERVED: Misconception = Misconception {
    name: "refused-is-served",
    expected: "a client that was told to come again is not served",
    why: "After the refusal the program goes on to the lines that start the thread. \
          It has to go back to accept there: `continue`. A client without a slot is \
          counted by nobody.",
    lesson: "39_thread_server",
};

const REFUSED_STAYS: Misconception = Misconception {
    name: "refused-stays-open",
    expected: "after the line the server closes the refused client's connection",
    why: "A refused client must cost nothing: whoever keeps its descriptor, or a \
          thread that waits for its goodbye, can be filled up by clients that were \
          refused. The last descriptor that is closed sends the end.",
    lesson: "37_nonblocking",
};

const WAITS_FOR_REFUSED: Misconception = Misconception {
    name: "waits-for-the-refused",
    expected: "the thread that accepts waits for clients only, never for one of them",
    why: "The accepting thread reads from the client that it has refused, and that one \
          says nothing. As long as it stays, nobody is accepted. Read what is there \
          without waiting (O_NONBLOCK, MSG_DONTWAIT) and close.",
    lesson: "39_thread_server",
};

const SLOT_LOST: Misconception = Misconception {
    name: "slot-never-returned",
    expected: "a client that leaves makes room for the next one",
    why: "The slot was taken when the client came, and nobody gives it back. The \
          thread that serves a client has to do it at its end; after N clients nobody \
          is served any more.",
    lesson: "39_thread_server",
};

const SLOT_LOST_ON_ERROR: Misconception = Misconception {
    name: "slot-lost-on-error",
    expected: "a client whose connection breaks off makes room for the next one",
    why: "The slot is given back after a goodbye (read returns 0), but not when read \
          or write fails: `?` and panics leave by another way, past the line that \
          gives it back. Do it in a `drop`, which runs however the thread ends.",
    lesson: "39_thread_server",
};

const SLOT_TWICE: Misconception = Misconception {
    name: "slot-returned-twice",
    expected: "N clients at most, also after some were refused and some have left",
    why: "At first the limit held, and now there is a slot too many: one was given \
          back that was never taken, or twice. Who was refused has none to give back.",
    lesson: "39_thread_server",
};

const PANIC_KILLS: Misconception = Misconception {
    name: "panic-kills-server",
    expected: "an error or a panic in one client's thread is the end of that client",
    why: "A panic ends its own thread only, but it can spread: `join` hands it to \
          whoever joins, and a lock that was held by it is poisoned. `unwrap` of \
          either in main ends the process, with all clients. Return errors of a \
          connection from the thread, and let main go on whatever they are.",
    lesson: "39_thread_server",
};

const PILE_UP: Misconception = Misconception {
    name: "threads-pile-up",
    expected: "memory does not grow with the number of clients that have left",
    why: "A thread that has ended keeps its stack until it is joined, unless it was \
          detached. In Rust its handle must not be kept: to drop it is to detach the \
          thread. In C: pthread_detach.",
    lesson: "04_detach",
};

fn late_threads(scene: &mut Scene) -> Outcome {
    let what = "two clients came, and their threads started late";
    let started = start_late(scene, &["3"], 2);
    let (server, clients) = spread(scene, started, what)?;
    let asleep = scene.wait_while_awake(|_| false);
    let limited = spread(scene, asleep, what)? == Settled::Asleep;
    let ended = |s: &Scene| clients.iter().copied().find(|&c| s.end_of(c).is_some());
    let at_once = ended(scene).is_some();
    survives(scene, what)?;
    if let Some(client) = ended(scene) {
        if limited && !at_once {
            return Err(TIME_LIMIT.seen(
                "a client came and said nothing; a thread of the server waited with a \
                 time limit, and then the client's connection was closed",
            ));
        }
        return Err(ended_unasked(scene, client));
    }
    let shared = shared_descriptor(scene);
    for (number, &client) in clients.iter().enumerate() {
        if echoes(scene, client, &format!("client {number} of 2\n"))? {
            continue;
        }
        if scene.end_of(client).is_some() {
            return Err(ended_unasked(scene, client));
        }
        if let Some((fd, threads)) = shared {
            return Err(SHARED_CFD.seen(format!(
                "two clients came before their threads ran; {threads} threads wait for \
                 input from descriptor {fd}, and one client is not answered"
            )));
        }
        return Err(unanswered(scene, server, client));
    }
    Ok(())
}

fn one_too_many(scene: &mut Scene) -> Outcome {
    let server = start(scene, &["3"])?;
    let mut clients = served(scene, server, 3)?;
    rest(scene, "three clients came and spoke")?;
    by_threads(scene, &clients)?;
    refused(scene, server, NO_LIMIT)?;
    refused(scene, server, SLOT_TWICE)?;
    for &client in &clients {
        if !echoes(scene, client, "still here\n")? {
            let seen = where_it_waits(scene, server, client);
            return Err(ECHO.seen(format!("others were refused, and now {seen}")));
        }
    }
    // One leaves, another comes; and all once more, so that a slot too many shows.
    for _ in 0..2 {
        let leaves = clients.remove(0);
        goodbye(scene, server, leaves)?;
        let next = scene.connect(server)?;
        has_a_slot(
            scene,
            server,
            next,
            SLOT_LOST,
            "three clients were there, one left",
        )?;
        clients.push(next);
        rest(scene, "a client left and another came")?;
        refused(scene, server, SLOT_TWICE)?;
    }
    clients.into_iter().try_for_each(|client| goodbye(scene, server, client))
}

/// The server meets them all before any of their threads has run.
fn too_many_at_once(scene: &mut Scene) -> Outcome {
    const MOST: usize = 2;
    let what = "four clients came at once, and their threads started late";
    let started = start_late(scene, &["2"], 2 * MOST);
    let (server, clients) = spread(scene, started, what)?;
    survives(scene, what)?;
    let (mut there, mut unanswered) = (Vec::new(), Vec::new());
    for client in clients {
        if scene.end_of(client).is_some() {
            is_refused(scene, server, client, NO_LIMIT)?;
        } else if echoes(scene, client, "here I am\n")? {
            there.push(client);
        } else {
            unanswered.push(client);
        }
    }
    if there.len() > MOST {
        return Err(NO_LIMIT.seen(format!(
            "{MOST} may be there; four came before any of their threads ran, and {} of \
             them are served",
            there.len()
        )));
    }
    for client in unanswered {
        is_refused(scene, server, client, NO_LIMIT)?;
    }
    if there.len() < MOST {
        return Err(REFUSED_TOO_EARLY.seen(format!(
            "{MOST} may be there; four came at once, and {} of them are served",
            there.len()
        )));
    }
    there.into_iter().try_for_each(|client| goodbye(scene, server, client))
}

fn broken_off(scene: &mut Scene) -> Outcome {
    let server = start(scene, &["2"])?;
    let clients = served(scene, server, 2)?;
    scene.break_off(clients[0]);
    let what = "a client broke its connection off";
    survives(scene, what)?;
    let next = scene.connect(server)?;
    has_a_slot(scene, server, next, SLOT_LOST_ON_ERROR, what)?;
    goodbye(scene, server, next)?;
    // One that has closed its connection: the first write is answered by a reset, and the
    // next one is a broken pipe.
    let program = scene.program();
    scene.pause(program)?;
    let gone = scene.connect(server)?;
    scene.say(gone, vec![b'x'; 1 << 16]);
    scene.hang_up(gone);
    scene.resume(program);
    let what = "a client closed its connection without reading the answer";
    survives(scene, what)?;
    let next = scene.connect(server)?;
    has_a_slot(scene, server, next, SLOT_LOST_ON_ERROR, what)?;
    // Now in the middle of a write, which cannot go on because the client does not read.
    scene.hold(next, true);
    scene.say(next, vec![b'x'; 8 << 20]);
    survives(scene, "a client sent eight million bytes and read nothing")?;
    scene.break_off(next);
    let what = "a client that did not read broke its connection off";
    survives(scene, what)?;
    let next = scene.connect(server)?;
    has_a_slot(scene, server, next, SLOT_LOST_ON_ERROR, what)?;
    // And one that has gone before it was refused.
    scene.pause(program)?;
    let gone = scene.connect(server)?;
    scene.break_off(gone);
    scene.resume(program);
    survives(scene, "a client had gone before it was refused")?;
    for client in [clients[1], next] {
        if !echoes(scene, client, "still here\n")? {
            let seen = where_it_waits(scene, server, client);
            return Err(
                ECHO.seen(format!("after a connection was broken off {seen}"))
            );
        }
    }
    refused(scene, server, SLOT_TWICE)
}

/// What it says has arrived before the server accepts it.
fn refused_after_speaking(scene: &mut Scene) -> Outcome {
    let server = start(scene, &["1"])?;
    let client = served(scene, server, 1)?[0];
    let program = scene.program();
    scene.pause(program)?;
    let late = scene.connect(server)?;
    scene.say(late, "hello ".repeat(600) + "\n");
    scene.resume(program);
    is_refused(scene, server, late, NO_LIMIT)?;
    // The next one must not suffer from a refused client that stays.
    refused(scene, server, SLOT_TWICE)?;
    goodbye(scene, server, client)?;
    let next = scene.connect(server)?;
    has_a_slot(scene, server, next, SLOT_LOST, "the only client left")
}

fn many_clients(scene: &mut Scene) -> Outcome {
    /// Twice as many as a short queue of connections must take.
    const AT_ONCE: usize = 10;
    const ROUNDS: usize = 10;
    const WARM: usize = 2;
    // One heap for all threads: else each may reserve 64 MiB, which hides the stacks.
    scene.set_environment("MALLOC_ARENA_MAX", "1");
    let server = start(scene, &["10"])?;
    let mut before = Bytes(0);
    for round in 0..ROUNDS {
        let mut clients = served(scene, server, AT_ONCE / 2)?;
        clients.extend(served(scene, server, AT_ONCE / 2)?);
        clients.iter().for_each(|&client| scene.shut(client));
        for client in clients {
            let said = scene.heard_text(client);
            farewell(scene, client, &said, |scene| no_end(scene, server, client))?;
        }
        rest(scene, "ten clients came and left")?;
        if round + 1 == WARM {
            before = scene.vm_size();
        }
    }
    let clients = (ROUNDS - WARM) * AT_ONCE;
    let grown = Bytes(scene.vm_size().0.saturating_sub(before.0));
    // The smallest stack is 16 KiB, and has a guard page; others have a hundred times that.
    if grown.0 > clients as u64 * (16 << 10) {
        let threads = scene.threads().len();
        return Err(PILE_UP.seen(format!(
            "its address space grew by {grown} over {clients} clients that have left; \
             threads alive: {threads}"
        )));
    }
    Ok(())
}

fn many_bytes(scene: &mut Scene) -> Outcome {
    let server = start(scene, &["2"])?;
    let deaf = served(scene, server, 1)?[0];
    scene.hold(deaf, true);
    scene.say(deaf, vec![b'x'; 8 << 20]);
    rest(scene, "a client sent eight million bytes and read nothing")?;
    let client = scene.connect(server)?;
    let said = echoes_much(scene, server, client)?;
    farewell(scene, client, &said, |scene| no_end(scene, server, client))
}

/// So many clients, each of which must be served.
fn served(
    scene: &mut Scene,
    server: SocketAddr,
    count: usize,
) -> Result<Vec<Peer>, Stop> {
    let clients = connect(scene, server, count)?;
    let text = |number| format!("client {number} of {count}\n");
    for (number, &client) in clients.iter().enumerate().rev() {
        scene.say(client, text(number));
    }
    for (number, &client) in clients.iter().enumerate().rev() {
        let answered = is_answered(scene, server, client, &text(number));
        if !spread(scene, answered, "clients came and spoke")? {
            let order = ["first", "second", "third"].get(number);
            return Err(REFUSED_TOO_EARLY.seen(match order {
                Some(nth) => format!("{count} may be there; the {nth} was refused"),
                None => format!(
                    "{count} may be there; number {} was refused",
                    number + 1
                ),
            }));
        }
    }
    Ok(clients)
}

/// A client has spoken. False if it was refused; it must be answered otherwise.
fn is_answered(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
    text: &str,
) -> Result<bool, Stop> {
    scene.wait_to_hear(client, text.len())?;
    let heard = scene.heard_text(client);
    if heard == text {
        return Ok(true);
    }
    if heard.starts_with(FULL) {
        return Ok(false);
    }
    // It may be the server that has ended.
    rest(scene, &format!("a client said {}", quote(text)))?;
    if heard.is_empty() && scene.end_of(client).is_some() {
        return Err(ended_unasked(scene, client));
    }
    if heard.is_empty() {
        return Err(unanswered(scene, server, client));
    }
    let seen = format!("a client said {} and heard {}", quote(text), quote(&heard));
    Err(ECHO.seen(seen))
}

/// The client has left room behind, so this one must be served.
fn has_a_slot(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
    lost: Misconception,
    what: &str,
) -> Outcome {
    let text = "another one\n";
    scene.say(client, text);
    let answered = is_answered(scene, server, client, text);
    match spread(scene, answered, what)? {
        true => Ok(()),
        false => Err(lost.seen(format!("{what}, and the next one was refused"))),
    }
}

/// The server must go on, and sleep.
fn survives(scene: &mut Scene, what: &str) -> Outcome {
    let rests = rest(scene, what);
    spread(scene, rests, what)
}

/// If it has crashed, it is because of one client's thread, and `what` happened to that.
fn spread<T>(scene: &Scene, result: Result<T, Stop>, what: &str) -> Result<T, Stop> {
    result.map_err(|stop| match &*stop {
        Report::Failed(Status::Crashed, finding) => {
            let why = match scene.err() {
                // What std says of a descriptor that was closed twice.
                err if err.contains("IO Safety violation") => MAIN_CLOSES,
                err if err.contains("panicked at") => PANIC_KILLS,
                _ => ENDS,
            };
            why.seen(format!("{what}; {}", finding.seen))
        }
        _ => stop,
    })
}

/// All slots are taken, so the next one must be refused; if it is served, that is `too_many`.
fn refused(
    scene: &mut Scene,
    server: SocketAddr,
    too_many: Misconception,
) -> Outcome {
    let client = scene.connect(server)?;
    is_refused(scene, server, client, too_many)
}

fn is_refused(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
    too_many: Misconception,
) -> Outcome {
    scene.wait(|scene| scene.end_of(client).is_some())?;
    if scene.exit().is_some() {
        survives(scene, "a client came that was to be refused")?;
    }
    let heard = scene.heard_text(client);
    match scene.end_of(client) {
        Some(End::Fin) if heard == FULL => {}
        Some(End::Reset) => {
            return Err(REFUSED_BY_RESET.seen(format!(
                "a client too many heard {}, and then its connection was broken off \
                 (reset)",
                quote(&heard)
            )));
        }
        Some(End::Fin) => {
            return Err(WITHOUT_A_WORD.seen(format!(
                "a client too many heard {} and then the end",
                quote(&heard)
            )));
        }
        None => return Err(not_refused(scene, server, client, too_many)?),
    }
    rest(scene, "a client was refused")?;
    match scene.holders_of(client).is_empty() {
        true => Ok(()),
        false => Err(kept(scene, client, "it has heard the line and the end")),
    }
}

/// The client has not seen the end. What does it see when it speaks?
fn not_refused(
    scene: &mut Scene,
    server: SocketAddr,
    client: Peer,
    too_many: Misconception,
) -> Result<Stop, Stop> {
    let told = scene.heard_text(client);
    scene.say(client, "hello\n");
    scene.wait_to_hear(client, told.len() + 6)?;
    let echoed = scene.heard(client).ends_with(b"hello\n");
    let ended = scene.end_of(client).is_some();
    Ok(match (told.as_str(), echoed) {
        ("" | "hello\n", true) => too_many.seen(
            "all slots are taken; one more client came and was served like the others",
        ),
        (_, true) => REFUSED_SERVED.seen(format!(
            "a client too many was told {}; then it said something, and was answered",
            quote(&told)
        )),
        ("", false) if ended => WITHOUT_A_WORD.seen(
            "a client too many heard nothing, until it said something itself",
        ),
        ("", false) if lock_is_held(scene) => unanswered(scene, server, client),
        ("", false) => WAITS_INSTEAD.seen(format!(
            "a client too many hears nothing: {}",
            where_it_waits(scene, server, client)
        )),
        (told, false) if told == FULL => {
            kept(scene, client, "it has heard the line and no end")
        }
        (told, false) => WITHOUT_A_WORD
            .seen(format!("a client too many heard {} and no end", quote(told))),
    })
}

/// All is at rest, and the server still has a refused client's descriptor. Who waits for it?
fn kept(scene: &Scene, client: Peer, what: &str) -> Stop {
    let program = scene.program();
    let own = scene.descriptors_of(program, client);
    let waits = |waiting: Waiting| match waiting {
        Waiting::Read(fd) => own.contains(&fd),
        _ => false,
    };
    let threads = scene.threads();
    let reader = threads.iter().position(|thread| waits(thread.waiting));
    let accepts = threads.iter().any(|thread| {
        matches!(thread.waiting, Waiting::Accept | Waiting::Descriptors)
    });
    match reader {
        Some(_) if !accepts => WAITS_FOR_REFUSED.hung(format!(
            "a client was refused ({what}) and stays; {}",
            scene.doing_all()
        )),
        Some(_) => REFUSED_SERVED.seen(format!(
            "a client was refused ({what}), and yet a thread waits for what it says: {}",
            scene.doing_all()
        )),
        None => REFUSED_STAYS.seen(format!(
            "a client was refused ({what}), and the server still has {} open for it",
            match own.first() {
                Some(fd) => format!("descriptor {fd}"),
                None => "a descriptor".to_owned(),
            }
        )),
    }
}

/// A client leaves, and nothing of it must be left.
fn goodbye(scene: &mut Scene, server: SocketAddr, client: Peer) -> Outcome {
    let said = scene.heard_text(client);
    farewell(scene, client, &said, |scene| no_end(scene, server, client))?;
    rest(scene, "a client left")
}

/// A client has spoken, and is not answered.
fn unanswered(scene: &Scene, server: SocketAddr, client: Peer) -> Stop {
    let seen = where_it_waits(scene, server, client);
    let seen = format!("a client spoke and is not answered: {seen}");
    if lock_is_held(scene) {
        return HOLDS_LOCK.seen(seen);
    }
    if scene.not_accepted(server) > 0 {
        return ONE_AT_A_TIME.seen(seen);
    }
    ECHO.seen(seen)
}

fn lock_is_held(scene: &Scene) -> bool {
    scene.threads().iter().any(|thread| thread.waiting == Waiting::Lock)
}

/// The server has ended the connection of a client that has not.
fn ended_unasked(scene: &Scene, client: Peer) -> Stop {
    let how = match scene.end_of(client) {
        Some(End::Reset) => "broken off",
        _ => "ended by the server",
    };
    MAIN_CLOSES.seen(format!(
        "a client came; its connection was {how} before anything was answered"
    ))
}

/// The client has sent its end and waits for the server's.
fn no_end(scene: &mut Scene, server: SocketAddr, client: Peer) -> Stop {
    let seen = where_it_waits(scene, server, client);
    if lock_is_held(scene) {
        return HOLDS_LOCK.hung(format!("a client has sent its end: {seen}"));
    }
    NO_END.hung(format!("a client has sent its end and waits: {seen}"))
}

/// All is at rest. Is there a thread for each client?
fn by_threads(scene: &Scene, clients: &[Peer]) -> Outcome {
    let (program, count) = (scene.program(), clients.len());
    let others = scene.others().len();
    let elsewhere =
        |&&client: &&Peer| scene.descriptors_of(program, client).is_empty();
    if let Some(elsewhere) = Some(clients.iter().filter(elsewhere).count())
        && elsewhere > 0
    {
        return Err(NO_THREADS.seen(format!(
            "{elsewhere} of {count} clients are served by {others} other processes"
        )));
    }
    let threads = scene.threads().len();
    if threads <= count {
        return Err(NO_THREADS.seen(format!(
            "{count} clients are served, and there are {threads} threads in all"
        )));
    }
    Ok(())
}

/// A descriptor from which several threads wait for input, and how many.
fn shared_descriptor(scene: &Scene) -> Option<(i32, usize)> {
    let threads = scene.threads();
    let reads = |waiting| match waiting {
        Waiting::Read(fd) => Some(fd),
        _ => None,
    };
    let fds: Vec<i32> = threads.iter().filter_map(|t| reads(t.waiting)).collect();
    let readers = |fd: i32| fds.iter().filter(|&&other| other == fd).count();
    fds.iter().map(|&fd| (fd, readers(fd))).find(|&(_, count)| count > 1)
}
