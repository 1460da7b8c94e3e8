use super::servers::{BUSY, ENDS, ends, sockets, start};
use super::{Case, Exercise};
use crate::scene::{
    End, Misconception, Outcome, Peer, Scene, Settled, Stop, Waiting, quote,
};
use lessons::net::State;
use lessons::proc::{self, Set};
use std::net::SocketAddr;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise19",
    title: "A chat room in one thread",
    lesson: "42_select_server",
    hints: &[
        "The thread may sleep in one place only, and anything that anybody does has to \
         wake it there. So the listening socket belongs to those it waits for, and so \
         does each guest. Make the sets (or the list of poll) anew in each round.",
        "Keep for each guest: its socket, its number, and the beginning of a line that \
         is not whole yet. Read once from each that is ready, add what came, and take \
         out whole lines. 0 or an error: out with it, after the loop over all.",
        "Make every socket non-blocking. A write takes as much as there is room for, or \
         says WouldBlock. What is left goes into a buffer of that guest, and as long as \
         there is something in it, ask for it whether it can be written to (the second \
         set of select, POLLOUT, EPOLLOUT); otherwise do not ask.",
        "After each addition to a guest's buffer look how long it is: above 65536 bytes \
         the guest goes. The same with the beginning of a line above 1024. In Rust: \
         `guests.retain(|guest| guest.here)` at the end of the round; a `drop` closes. \
         The numbers come from a counter that only grows.",
    ],
    cases: &[
        Case::new("guests who speak in another order", conversation),
        Case::new("lines in pieces, and several at once", lines),
        Case::new("forty at the same moment", forty),
        Case::new("lines that are too long", too_long),
        Case::new("guests who leave", leaving),
        Case::new("guests who leave while another speaks", leaving_unheard),
        Case::new("a guest who does not read for a while", slow_for_a_while),
        Case::new("a guest who never reads", slow_for_ever),
    ],
};

const NOT_ONE_THREAD: Misconception = Misconception {
    name: "not-one-thread",
    expected: "the server has one thread and no other process",
    why: "A thread or a process for each guest is a good server too, and another \
          exercise; for what they share it needs a lock or a message. Here one thread \
          waits for all of them.",
    lesson: "42_select_server",
};

const ONE_AT_A_TIME: Misconception = Misconception {
    name: "one-at-a-time",
    expected: "whoever connects is in the room at once",
    why: "The server waits in a read for what one guest will say, and meanwhile \
          accepts nobody. The kernel has connected the others all the same: they are \
          in the queue of the listening socket.",
    lesson: "36_iterative",
};

const WAITS_FOR_ONE: Misconception = Misconception {
    name: "waits-for-one",
    expected: "the server sleeps only in a call that waits for everybody",
    why: "A read or an accept that blocks waits for one socket, and hears no other. \
          Ask select, poll or epoll who is ready; then read once, because the next \
          read may have to wait: a guest need not end the line that it has begun.",
    lesson: "41_select",
};

const SET_NOT_REBUILT: Misconception = Misconception {
    name: "set-not-rebuilt",
    expected: "in each round select is given all sockets",
    why: "select writes its answer over the sets: only those that are ready are left \
          in them. Who was silent in one round is not asked for in the next. Make the \
          sets anew before each call.",
    lesson: "41_select",
};

const LEFT_UNHEARD: Misconception = Misconception {
    name: "left-unheard",
    expected: "while somebody is there to be heard the server does not sleep",
    why: "It sleeps in poll or epoll, and that is not to wake it for this one: it is \
          not on the list, or (edge trigger) it was reported once and not read until \
          there was nothing more.",
    lesson: "43_epoll",
};

const HEARS_ITSELF: Misconception = Misconception {
    name: "hears-itself",
    expected: "who says a line does not hear it",
    why: "A line goes to all guests but one. Compare numbers or descriptors when you \
          pass it on.",
    lesson: "42_select_server",
};

const NOT_AS_SAID: Misconception = Misconception {
    name: "not-as-said",
    expected: "each line comes to all others, once, as `NUMBER: LINE`",
    why: "The number is the guest's: the first who came is 1, and no number is given \
          twice. A descriptor's number is not that: it is taken again. An empty line \
          is a line, too.",
    lesson: "42_select_server",
};

const BYTES: Misconception = Misconception {
    name: "bytes-changed",
    expected: "a line is passed on byte by byte as it came",
    why: "What comes over a connection is bytes. A String takes UTF-8 only: to make \
          one fails, or puts a replacement character there. `lines` takes a carriage \
          return away, `trim` all blanks. Keep a Vec<u8>, and cut at newlines only.",
    lesson: "28_stream",
};

const PIECES: Misconception = Misconception {
    name: "pieces",
    expected: "only whole lines are passed on",
    why: "A read gives what has arrived so far, and that may be the beginning of a \
          line. Keep it until the newline has come; if that never comes, nobody hears \
          of it.",
    lesson: "28_stream",
};

const GLUED: Misconception = Misconception {
    name: "glued",
    expected: "each line has its number in front of it",
    why: "A read gives what has arrived so far, and that may be several lines, the \
          last of them not whole. Cut at each newline.",
    lesson: "28_stream",
};

const MIXES: Misconception = Misconception {
    name: "mixes-guests",
    expected: "what one guest has begun to say is not mixed with another's words",
    why: "Beginnings of lines are kept, but not by guest: there is one buffer for \
          all, or one for a descriptor, which the next guest gets after this one has \
          left.",
    lesson: "42_select_server",
};

const LINE_WITHOUT_END: Misconception = Misconception {
    name: "line-without-end",
    expected: "who says more than 1024 bytes without a newline is sent away",
    why: "What is kept until a newline comes is memory, and the guest decides whether \
          one comes. Whatever a stranger can make grow needs a limit.",
    lesson: "42_select_server",
};

const LINE_TOO_LONG: Misconception = Misconception {
    name: "line-too-long",
    expected: "who says a line of more than 1024 bytes is sent away, though its newline has \
               come, and the line is not passed on",
    why: "A long line may come in one piece, with its newline. If only what is left behind \
          the last newline is measured, nobody looks at it. Measure each line before it \
          is passed on.",
    lesson: "42_select_server",
};

const LINES_COUNTED_TOGETHER: Misconception = Misconception {
    name: "lines-counted-together",
    expected: "the limit of 1024 bytes is for one line",
    why: "What one read has brought may be many lines, and all of them short. Take the \
          whole lines out first; then measure each, and what is left.",
    lesson: "28_stream",
};

const LIMIT_TOO_LOW: Misconception = Misconception {
    name: "line-limit-too-low",
    expected: "a line of up to 1024 bytes is passed on like any other",
    why: "The guest was sent away for a line that is within the limit. If the beginnings of \
          lines are kept in a buffer of fixed size, it needs room for 1024 bytes and the \
          newline.",
    lesson: "42_select_server",
};

const LAST_LINE_LOST: Misconception = Misconception {
    name: "last-line-lost",
    expected: "a line that was whole before its guest left is passed on",
    why: "The end stands behind all that was said, and both may be there when the server \
          looks. EPOLLRDHUP says that the end has come, and not that all before it was \
          read. Read until read returns 0, and pass the whole lines on before you close.",
    lesson: "29_shutdown",
};

const NO_END: Misconception = Misconception {
    name: "no-end",
    expected: "the server closes the connection of a guest who has left",
    why: "A read that returns 0 says that the guest will send no more; an error, that \
          the connection is broken. Drop the socket then. Otherwise each guest that \
          ever came costs a descriptor.",
    lesson: "29_shutdown",
};

const SPINS_AT_END: Misconception = Misconception {
    name: "spins-at-the-end",
    expected: "after a guest has left the server sleeps",
    why: "A connection that has ended is ready, always: a read does not have to wait \
          to say 0, or the error. As long as it is among those that are watched, the \
          call returns at once. Close it, and watch it no more.",
    lesson: "41_select",
};

const DIES_OF_EPIPE: Misconception = Misconception {
    name: "dies-of-epipe",
    expected: "a guest who cannot be told anything any more is the end of nobody else",
    why: "A guest may leave at any time, also after select and before the write. \
          Then write says EPIPE or ECONNRESET (and SIGPIPE ends a program that does \
          not ignore it, as Rust's do). Such an error is the end of that guest only.",
    lesson: "29_shutdown",
};

const STALLS_ALL: Misconception = Misconception {
    name: "stalls-all",
    expected: "a guest who does not read keeps nobody waiting",
    why: "Its buffers in the kernel are full, and there may never be room again. Who \
          waits for that waits for this one guest, and all others with it. Make the \
          sockets non-blocking, keep what does not go out, and go on.",
    lesson: "42_select_server",
};

const SENT_AWAY: Misconception = Misconception {
    name: "sent-away-too-early",
    expected: "who is less than 64 KiB behind is not sent away",
    why: "WouldBlock says that there is no room now. It is not an error of the \
          connection: keep what did not go out, up to 65536 bytes, until there is room \
          again.",
    lesson: "37_nonblocking",
};

const LOSES: Misconception = Misconception {
    name: "loses-some",
    expected: "who reads late hears everything",
    why: "A write on a non-blocking socket takes as much as there is room for and \
          returns how much that was, or WouldBlock. The rest is still yours to send.",
    lesson: "37_nonblocking",
};

const REST_NOT_SENT: Misconception = Misconception {
    name: "rest-not-sent",
    expected: "what was kept for a guest is sent as soon as there is room",
    why: "The server tries again only when somebody says the next line, which may be \
          never. While something is kept for a guest, ask whether it can be written \
          to as well: the second set of select, POLLOUT, EPOLLOUT.",
    lesson: "41_select",
};

const KEEPS_ALL: Misconception = Misconception {
    name: "keeps-without-bound",
    expected: "who is more than 64 KiB behind is sent away",
    why: "What is kept for a guest who does not read is memory, and it may never read. \
          Any guest could use up the server's memory in this way. There has to be a \
          limit, and something has to happen at it.",
    lesson: "42_select_server",
};

fn conversation(scene: &mut Scene) -> Outcome {
    let mut room = Room::open(scene)?;
    room.enter(scene, 5)?;
    sleeps_for_all(scene, &room)?;
    for guest in (0..5).rev() {
        room.say(scene, guest, format!("guest {} of 5\n", guest + 1));
        room.hear(scene)?;
    }
    sleeps_for_all(scene, &room)?;
    let late = room.enter(scene, 1)?;
    for guest in [late, 0, 4, 2] {
        room.say(scene, guest, "and once more\n");
        room.hear(scene)?;
    }
    Ok(())
}

fn lines(scene: &mut Scene) -> Outcome {
    let mut room = Room::open(scene)?;
    room.enter(scene, 3)?;
    room.say(scene, 2, "I am here\n");
    room.hear(scene)?;
    // Two are in the middle of a line while the third speaks.
    for (guest, piece) in [(0, "begun "), (1, "also ")] {
        scene.say(room.peer(guest), piece);
        room.rests(scene, "a guest said half a line")?;
        room.nothing_new(
            scene,
            &format!("guest {} said {}", guest + 1, quote(piece)),
        )?;
    }
    room.say(scene, 2, "meanwhile\n");
    room.hear(scene)?;
    scene.say(room.peer(0), "and ended\nthe second\nthe th");
    room.due(0, "begun and ended\n");
    room.due(0, "the second\n");
    room.hear(scene)?;
    scene.say(room.peer(1), "ended\n");
    room.due(1, "also ended\n");
    room.hear(scene)?;
    scene.say(room.peer(0), "ird\n");
    room.due(0, "the third\n");
    room.hear(scene)?;
    room.say(scene, 2, b"no text: \xff\xfe\x80\xc3\n");
    room.hear(scene)?;
    for line in ["\n", " between \t blanks \r\n"] {
        room.say(scene, 0, line);
        room.hear(scene)?;
    }
    let long = "long ".repeat(200) + "\n";
    room.say(scene, 1, long);
    room.hear(scene)
}

fn too_long(scene: &mut Scene) -> Outcome {
    let mut room = Room::open(scene)?;
    room.enter(scene, 6)?;
    room.say(scene, 1, "hello\n");
    room.hear(scene)?;
    for (guest, bytes, end) in [(1, 65536, ""), (3, 1100, ""), (4, 1100, "\n")] {
        scene.say(room.peer(guest), "x".repeat(bytes) + end);
        room.guests[guest].left = true;
        room.rests(scene, "a guest said a line that is too long")?;
        let (wrong, newline) = match end {
            "" => (LINE_WITHOUT_END, "without a newline"),
            _ => (LINE_TOO_LONG, "and a newline"),
        };
        let said = format!("guest {} said {bytes} bytes {newline}", guest + 1);
        for (other, listens) in room.listening() {
            let heard = scene.heard(listens.peer).len();
            let more = heard.saturating_sub(listens.due.len());
            if more > 0 {
                return Err(wrong.seen(format!(
                    "{said}, and guest {} has heard of it ({more} bytes)",
                    other + 1
                )));
            }
        }
        if !scene.holders_of(room.peer(guest)).is_empty() {
            let read = bytes - scene.untaken(room.peer(guest)).min(bytes);
            return Err(wrong.seen(format!(
                "{said}; the server has read {read} of them, and the connection is open"
            )));
        }
    }
    // A line that is whole, and behind it one that is too long.
    let line = "that was short\n";
    scene.say(room.peer(5), line.to_owned() + &"x".repeat(1100));
    room.due(5, line);
    room.guests[5].left = true;
    room.rests(scene, "a guest said a line, and one that is too long")?;
    if room.missed(scene) {
        return Err(LINES_COUNTED_TOGETHER.seen(format!(
            "guest 6 said {} and then 1100 bytes without a newline, all at once; not \
             everybody has heard the line",
            quote(line)
        )));
    }
    room.say(scene, 2, "that was long\n");
    room.hear(scene)
}

fn leaving(scene: &mut Scene) -> Outcome {
    let mut room = Room::open(scene)?;
    room.enter(scene, 5)?;
    room.say(scene, 1, "I must go\n");
    room.hear(scene)?;
    scene.say(room.peer(1), "half a li");
    scene.shut(room.peer(1));
    room.guests[1].left = true;
    room.rests(scene, "a guest said half a line and left")?;
    room.nothing_new(scene, "guest 2 said “half a li” and left")?;
    room.has_closed(scene, "guest 2 has sent its end")?;
    if scene.end_of(room.peer(1)) == Some(End::Reset) {
        let seen = "guest 2 sent its end, and its connection was broken off (reset): \
                    the server closed it without reading all that had come";
        return Err(NO_END.seen(seen));
    }
    // It gets the descriptor of the one who left, but not its number.
    let new = room.enter(scene, 1)?;
    for guest in [new, 0] {
        room.say(scene, guest, "who was that?\n");
        room.hear(scene)?;
    }
    scene.break_off(room.peer(3));
    room.guests[3].left = true;
    room.rests(scene, "a guest broke its connection off")?;
    room.has_closed(scene, "guest 4 has broken its connection off")?;
    // This one is gone before it is accepted, and counts or not.
    let program = scene.program();
    scene.pause(program)?;
    let gone = scene.connect(room.server)?;
    scene.break_off(gone);
    scene.resume(program);
    room.rests(scene, "a guest came and broke its connection off at once")?;
    room.has_closed(scene, "a guest came and broke its connection off at once")?;
    for guest in [4, new, 0] {
        room.say(scene, guest, "still here\n");
        room.hear(scene)?;
    }
    last_words(scene, &mut room, new)
}

/// When the server hears of it, a line and the guest's end have come.
fn last_words(scene: &mut Scene, room: &mut Room, guest: usize) -> Outcome {
    let (program, peer) = (scene.program(), room.peer(guest));
    let line = "my last words\n";
    scene.pause(program)?;
    room.say(scene, guest, line);
    scene.shut(peer);
    scene.wait(|s| s.state_of(peer) == State::CloseWait)?;
    scene.resume(program);
    room.guests[guest].left = true;
    room.rests(scene, "a guest said a line and left")?;
    if room.missed(scene) {
        return Err(LAST_LINE_LOST.seen(format!(
            "guest {} said {} and left; not everybody has heard that",
            guest + 1,
            quote(line)
        )));
    }
    room.hear(scene)?;
    room.has_closed(scene, "a guest said a line and left")
}

/// When the server sees that two speak, the others have left, and it does not know yet.
fn leaving_unheard(scene: &mut Scene) -> Outcome {
    const SPEAKERS: [usize; 2] = [5, 8];
    let mut room = Room::open(scene)?;
    room.enter(scene, 12)?;
    room.say(scene, SPEAKERS[0], "hello\n");
    room.hear(scene)?;
    let program = scene.program();
    scene.pause(program)?;
    for guest in 0..12 {
        if SPEAKERS.contains(&guest) {
            continue;
        }
        match guest % 2 {
            0 => scene.hang_up(room.peer(guest)),
            _ => scene.break_off(room.peer(guest)),
        }
        room.guests[guest].left = true;
    }
    // Who has closed its end answers the first that comes with a reset: the second finds that.
    room.any_order = true;
    for speaker in SPEAKERS {
        room.say(scene, speaker, "what I wanted to say\n");
    }
    scene.resume(program);
    let heard = room.hear(scene);
    if let (Err(stop), Some(_)) = (&heard, scene.exit()) {
        return Err(DIES_OF_EPIPE.same_as(stop));
    }
    heard?;
    room.has_closed(scene, "ten guests have left while two spoke")?;
    room.say(scene, 8, "only we are left\n");
    room.hear(scene)
}

/// So many bytes of its buffers, and so long a line, that they are full soon.
const BUFFER: usize = 4096;

fn slow_for_a_while(scene: &mut Scene) -> Outcome {
    const BEHIND: usize = 45056;
    const PIECE: usize = 8192;
    let (mut room, slow) = Room::with_one_who_does_not_read(scene)?;
    let mut behind = 0;
    while behind < BEHIND {
        room.speak_on(scene, PIECE)?;
        if scene.holders_of(room.peer(slow)).is_empty() {
            return Err(SENT_AWAY.seen(format!(
                "guest {} did not read for a while; when it was less than {} bytes \
                 behind, beyond what the kernel keeps, its connection was closed",
                slow + 1,
                behind + 2 * PIECE
            )));
        }
        behind = room.behind(scene, slow);
    }
    // Nobody says anything more. It reads now.
    scene.hold(room.peer(slow), false);
    let (due, peer) = (room.guests[slow].due.len(), room.peer(slow));
    scene.wait_with_patience(|s| {
        s.heard(peer).len() >= due || s.end_of(peer).is_some()
    })?;
    room.rests(scene, "a guest reads again")?;
    room.guests[slow].slow = false;
    let due = room.guests[slow].due.clone();
    let heard = scene.heard(peer).to_vec();
    if scene.end_of(peer).is_some() {
        return Err(SENT_AWAY.seen(format!(
            "guest {} did not read for a while; when it read again it heard {} of {} \
             bytes, and then the end",
            slow + 1,
            heard.len(),
            due.len()
        )));
    }
    if heard == due {
        room.say(scene, slow, "I was away\n");
        return room.hear(scene);
    }
    let first = format!(
        "guest {} did not read for a while; when it read again it heard {} of {} bytes",
        slow + 1,
        heard.len(),
        due.len()
    );
    if due.starts_with(&heard) {
        // Is the rest lost, or kept?
        room.say(scene, 0, "and now?\n");
        room.rests(scene, "a guest reads again")?;
        if scene.heard(peer) == room.guests[slow].due {
            return Err(REST_NOT_SENT
                .seen(format!("{first}, and the rest when another guest spoke")));
        }
    }
    Err(LOSES.seen(format!("{first}; the rest never came")))
}

fn slow_for_ever(scene: &mut Scene) -> Outcome {
    // Twice what may be kept: how a server counts is its own affair.
    const MOST: usize = 131_072;
    let (mut room, slow) = Room::with_one_who_does_not_read(scene)?;
    loop {
        room.speak_on(scene, 16384)?;
        if scene.holders_of(room.peer(slow)).is_empty() {
            break;
        }
        let behind = room.behind(scene, slow);
        if behind > MOST {
            let memory = proc::anonymous(scene.program());
            let memory =
                memory.map_or(String::new(), |m| format!(", which uses {m}"));
            return Err(KEEPS_ALL.seen(format!(
                "guest {} does not read; it is {behind} bytes behind, beyond what the \
                 kernel keeps, and not sent away by the server{memory}",
                slow + 1
            )));
        }
    }
    room.guests[slow].left = true;
    for guest in [1, 0] {
        room.say(scene, guest, "where is number three?\n");
        room.hear(scene)?;
    }
    Ok(())
}

fn forty(scene: &mut Scene) -> Outcome {
    const GUESTS: usize = 40;
    let mut room = Room::open(scene)?;
    room.enter(scene, GUESTS)?;
    room.say(scene, GUESTS - 1, "hello\n");
    room.hear(scene)?;
    let program = scene.program();
    scene.pause(program)?;
    for guest in (0..GUESTS).rev() {
        room.say(scene, guest, format!("I am {}\n", guest + 1));
    }
    scene.resume(program);
    room.any_order = true;
    room.hear(scene)?;
    // From here on there is one order again.
    room.any_order = false;
    for guest in &mut room.guests {
        guest.due = scene.heard(guest.peer).to_vec();
    }
    // Less than may be kept for each, so nobody is sent away.
    let text: String = (0..1500).map(|number| format!("{number:29}\n")).collect();
    for line in text.split_inclusive('\n') {
        room.due(20, line);
    }
    scene.say(room.peer(20), text);
    room.hear(scene)
}

/// The server, and what each guest has to hear from it.
struct Room {
    server: SocketAddr,
    guests: Vec<Guest>,
    /// Several speak at once: their lines may come in any order.
    any_order: bool,
    spoken: usize,
    /// Who has said the last line.
    speaker: usize,
    /// Sockets that the server has without any guest.
    sockets: usize,
}

struct Guest {
    peer: Peer,
    /// Its lines, as it has said them.
    said: Vec<Vec<u8>>,
    due: Vec<u8>,
    /// It does not read.
    slow: bool,
    left: bool,
}

impl Guest {
    /// It has heard all that it has to hear.
    fn is_told(&self, scene: &Scene) -> bool {
        scene.heard(self.peer).len() >= self.due.len()
    }
}

impl Room {
    fn open(scene: &mut Scene) -> Result<Room, Stop> {
        let server = start(scene, &[])?;
        let (guests, any_order) = (Vec::new(), false);
        let (spoken, speaker, sockets) = (0, 0, 0);
        let mut room = Room { server, guests, any_order, spoken, speaker, sockets };
        room.rests(scene, "the start")?;
        room.sockets = self::sockets(scene);
        Ok(room)
    }

    /// Guest 3 of three does not read. It has been told something before.
    fn with_one_who_does_not_read(scene: &mut Scene) -> Result<(Room, usize), Stop> {
        let mut room = Room::open(scene)?;
        room.enter(scene, 2)?;
        let peer = scene.connect_with_buffers(room.server, Some(BUFFER))?;
        room.adopt(scene, peer)?;
        room.rests(scene, "guests came")?;
        let slow = 2;
        room.say(scene, 0, "hello\n");
        room.hear(scene)?;
        scene.hold(peer, true);
        room.guests[slow].slow = true;
        Ok((room, slow))
    }

    /// So many guests come; the number of the last. When the server is at rest they are in the
    /// room, if they will ever be.
    fn enter(&mut self, scene: &mut Scene, count: usize) -> Result<usize, Stop> {
        for _ in 0..count {
            let peer = scene.connect(self.server)?;
            self.adopt(scene, peer)?;
        }
        self.rests(scene, "guests came")?;
        Ok(self.guests.len() - 1)
    }

    /// It is in the queue of the server when this returns, behind all that came earlier.
    fn adopt(&mut self, scene: &mut Scene, peer: Peer) -> Outcome {
        scene.wait(|s| s.state_of(peer) != State::SynReceived)?;
        let (said, due) = (Vec::new(), Vec::new());
        self.guests.push(Guest { peer, said, due, slow: false, left: false });
        Ok(())
    }

    fn peer(&self, guest: usize) -> Peer {
        self.guests[guest].peer
    }

    /// A guest says a line, which all others have to hear.
    fn say(&mut self, scene: &mut Scene, guest: usize, line: impl AsRef<[u8]>) {
        scene.say(self.peer(guest), line.as_ref());
        self.due(guest, line);
    }

    /// A guest has now said all of this line.
    fn due(&mut self, speaker: usize, line: impl AsRef<[u8]>) {
        let line = line.as_ref();
        self.speaker = speaker;
        self.guests[speaker].said.push(line.to_vec());
        for (number, guest) in self.guests.iter_mut().enumerate() {
            if number != speaker && !guest.left {
                guest.due.extend_from_slice(format!("{}: ", speaker + 1).as_bytes());
                guest.due.extend_from_slice(line);
            }
        }
    }

    /// The first guest says lines of so many bytes altogether, no two of them alike.
    fn speak_on(&mut self, scene: &mut Scene, bytes: usize) -> Outcome {
        for _ in 0..bytes / 512 {
            self.spoken += 1;
            let line = format!("{:8} {}\n", self.spoken, "x".repeat(502));
            self.say(scene, 0, line);
        }
        self.hear(scene)
    }

    /// How many bytes for this guest are not in the kernel: in the server, or lost.
    fn behind(&self, scene: &Scene, guest: usize) -> usize {
        let Guest { peer, due, .. } = &self.guests[guest];
        due.len().saturating_sub(scene.heard(*peer).len() + scene.unheard(*peer))
    }

    /// The guests who are there and read.
    fn listening(&self) -> impl Iterator<Item = (usize, &Guest)> {
        let all = self.guests.iter().enumerate();
        all.filter(|(_, guest)| !guest.slow && !guest.left)
    }

    /// Somebody who is there has not heard all that was said.
    fn missed(&self, scene: &Scene) -> bool {
        self.listening().any(|(_, guest)| !guest.is_told(scene))
    }

    /// Waits until the server is at rest: it must be there, and sleep.
    fn rests(&self, scene: &mut Scene, what: &str) -> Outcome {
        match scene.settle() {
            Err(stop) if scene.exit().is_some() => Err(ENDS.same_as(&stop)),
            Err(stop) => Err(stop),
            Ok(Settled::Busy) => {
                let some = |what: fn(&Guest) -> bool| self.guests.iter().any(what);
                let misconception =
                    if some(|guest| guest.left) { SPINS_AT_END } else { BUSY };
                let slow = match some(|guest| guest.slow) {
                    true => ", while one does not read",
                    false => "",
                };
                let doing = scene.doing_all();
                Err(misconception.seen(format!("after {what}{slow}; {doing}")))
            }
            Ok(Settled::Ended) => Err(ends(scene, what)),
            Ok(_) => Ok(()),
        }
    }

    /// Waits until all who listen have heard what they have to. They must, and nothing else.
    fn hear(&self, scene: &mut Scene) -> Outcome {
        const WHAT: &str = "a guest said something";
        loop {
            let settled = scene.wait_with_patience(|s| {
                let done =
                    |one: &Guest| one.is_told(s) || s.end_of(one.peer).is_some();
                self.listening().all(|(_, guest)| done(guest))
            });
            match settled {
                Err(stop) if scene.exit().is_some() => {
                    return Err(ENDS.same_as(&stop));
                }
                Err(stop) => return Err(stop),
                Ok(Settled::Ended) => return Err(ends(scene, WHAT)),
                Ok(Settled::Busy) => return Err(self.not_told(scene, true)),
                Ok(_) => {}
            }
            self.rests(scene, WHAT)?;
            for (number, guest) in self.listening() {
                self.compare(scene, number, guest)?;
            }
            let all_told =
                |s: &Scene| self.listening().all(|(_, guest)| guest.is_told(s));
            if all_told(scene) {
                return Ok(());
            }
            // The kernel asks from time to time whether there is room now at a guest who does
            // not read, and may find a little. If that has woken the server, look again.
            let looked = scene.threads();
            let stop = self.not_told(scene, false);
            self.rests(scene, WHAT)?;
            if scene.threads() == looked && !all_told(scene) {
                return Err(stop);
            }
            scene.is_in_time()?;
        }
    }

    /// What a guest has heard must be what it has to hear, as far as it goes.
    fn compare(&self, scene: &Scene, number: usize, guest: &Guest) -> Outcome {
        let mut heard = lines_of(scene.heard(guest.peer));
        let mut due = lines_of(&guest.due);
        if self.any_order && heard.len() >= due.len() {
            heard.sort_unstable();
            due.sort_unstable();
        }
        let different = |index: &usize| heard.get(*index) != due.get(*index);
        match (0..heard.len()).find(different) {
            Some(index) => {
                let due = due.get(index).copied().unwrap_or_default();
                Err(self.wrong_line(number, heard[index], due))
            }
            None => Ok(()),
        }
    }

    /// A guest has heard one line instead of another.
    fn wrong_line(&self, guest: usize, heard: &[u8], due: &[u8]) -> Stop {
        let show = |line: &[u8]| match line {
            [] => "nothing more".to_owned(),
            line => match std::str::from_utf8(line) {
                Ok(text) => quote(text),
                Err(_) => format!("“{}”", line.escape_ascii()),
            },
        };
        let seen = format!(
            "guest {} should hear {} and has heard {}",
            guest + 1,
            show(due),
            show(heard)
        );
        let ((_, words), (_, wanted)) = (split(heard), split(due));
        let said_by = |one: &Guest| one.said.iter().any(|line| line == words);
        let glued = words == heard && self.guests.iter().any(said_by);
        let begins_a_line = |one: &Guest| {
            one.said
                .iter()
                .any(|line| line.len() > words.len() && line.starts_with(words))
        };
        // Only blanks are different.
        let trimmed = words != wanted
            && words.ends_with(b"\n")
            && words.trim_ascii() == wanted.trim_ascii();
        let misconception = if said_by(&self.guests[guest])
            && split(heard).0.is_none_or(|number| number == guest + 1)
        {
            HEARS_ITSELF
        } else if trimmed {
            BYTES
        } else if wanted.len() > 1
            && words.len() > wanted.len()
            && words.ends_with(wanted)
        {
            MIXES
        } else if std::str::from_utf8(wanted).is_err() {
            BYTES
        } else if glued && self.has_several_lines() {
            GLUED
        } else if !words.ends_with(b"\n") && self.guests.iter().any(begins_a_line) {
            PIECES
        } else {
            NOT_AS_SAID
        };
        misconception.seen(seen)
    }

    fn has_several_lines(&self) -> bool {
        self.guests.iter().any(|guest| guest.said.len() > 1)
    }

    /// Somebody was not told. Why not?
    fn not_told(&self, scene: &Scene, busy: bool) -> Stop {
        if let Err(stop) = one_thread(scene) {
            return stop;
        }
        let missed = |(_, guest): &(usize, &Guest)| !guest.is_told(scene);
        let who = self.listening().find(missed).map_or(0, |(number, _)| number + 1);
        let doing = scene.doing();
        let slow = self.guests.iter().position(|guest| guest.slow);
        if let Some(slow) = slow {
            let seen = format!(
                "guest {} does not read, so guest {who} hears nothing either: {doing}",
                slow + 1
            );
            match waiting(scene) {
                Some(Waiting::Write(fd)) => {
                    let owner = self.owner(scene, fd);
                    return STALLS_ALL.hung(format!("{seen}; {owner}"));
                }
                _ if busy => return STALLS_ALL.hung(seen),
                _ => {}
            }
        }
        if busy {
            return BUSY.seen(format!("guest {who} hears nothing; {doing}"));
        }
        let ended =
            self.listening().find(|(_, one)| scene.end_of(one.peer).is_some());
        if let Some((number, guest)) = ended {
            if number == self.speaker && guest.is_told(scene) {
                let lines = guest.said.len();
                let last = guest.said.last().map_or(0, Vec::len);
                if last > 512 {
                    return LIMIT_TOO_LOW.seen(format!(
                        "guest {} has said a line of {last} bytes, and finds its \
                         connection closed",
                        number + 1
                    ));
                }
                return LINES_COUNTED_TOGETHER.seen(format!(
                    "guest {} has said {lines} lines so far, some of them at once and \
                     none of them long, and finds its connection closed",
                    number + 1
                ));
            }
            return SENT_AWAY.seen(format!(
                "guest {}, who is there and reads, finds its connection closed",
                number + 1
            ));
        }
        if let Err(stop) = sleeps_for_all(scene, self) {
            return stop;
        }
        let speaks = |guest: &Guest| {
            !guest.left && !guest.slow && scene.untaken(guest.peer) > 0
        };
        if let Some(number) = self.guests.iter().position(speaks) {
            let fds = scene.descriptors_of(scene.program(), self.peer(number));
            let what = format!("what guest {} said is not read", number + 1);
            return not_watched(scene, &what, &fds);
        }
        let Some((_, guest)) = self.listening().find(missed) else {
            return NOT_AS_SAID.seen(doing);
        };
        let lines = lines_of(&guest.due);
        let heard = lines_of(scene.heard(guest.peer)).len();
        let next = lines.get(heard).copied().unwrap_or_default();
        NOT_AS_SAID.seen(format!(
            "guest {who} should hear {} and hears nothing; {doing}",
            quote(&String::from_utf8_lossy(next))
        ))
    }

    /// Nobody has said a whole line, so nobody may have heard anything.
    fn nothing_new(&self, scene: &Scene, what: &str) -> Outcome {
        for (number, guest) in self.listening() {
            if let Some(more) = scene.heard(guest.peer).get(guest.due.len()..)
                && !more.is_empty()
            {
                let more = quote(&String::from_utf8_lossy(more));
                let seen =
                    format!("{what}, and guest {} has heard {more}", number + 1);
                return Err(PIECES.seen(seen));
            }
        }
        Ok(())
    }

    /// The server has closed the connections of all who have left.
    fn has_closed(&self, scene: &Scene, what: &str) -> Outcome {
        let here = self.guests.iter().filter(|guest| !guest.left).count();
        let open = sockets(scene).saturating_sub(self.sockets);
        if open <= here {
            return Ok(());
        }
        Err(NO_END.seen(format!(
            "{what}; {here} guests are there, and the server has the sockets of {open} open"
        )))
    }

    /// Whose descriptor of the server this is.
    fn owner(&self, scene: &Scene, fd: i32) -> String {
        let program = scene.program();
        let owns =
            |one: &Guest| scene.descriptors_of(program, one.peer).contains(&fd);
        match self.guests.iter().position(owns) {
            Some(number) => {
                format!("descriptor {fd} is the connection of guest {}", number + 1)
            }
            None => format!("descriptor {fd} belongs to no guest"),
        }
    }
}

fn lines_of(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The number before a line, and the line.
fn split(line: &[u8]) -> (Option<usize>, &[u8]) {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match line[digits..].strip_prefix(b": ") {
        Some(words) if digits > 0 => {
            let number = String::from_utf8_lossy(&line[..digits]).parse();
            (number.ok(), words)
        }
        _ => (None, line),
    }
}

fn waiting(scene: &Scene) -> Option<Waiting> {
    scene.threads().first().map(|thread| thread.waiting)
}

fn one_thread(scene: &Scene) -> Outcome {
    let (threads, others) = (scene.threads().len(), scene.others().len());
    if threads > 1 {
        return Err(NOT_ONE_THREAD.seen(format!("it has {threads} threads")));
    }
    if others > 0 {
        let seen = format!("the server is not alone: other processes: {others}");
        return Err(NOT_ONE_THREAD.seen(seen));
    }
    Ok(())
}

/// The server is at rest. It must sleep in a call that waits for several, with nobody in the
/// queue.
fn sleeps_for_all(scene: &Scene, room: &Room) -> Outcome {
    one_thread(scene)?;
    let queue = scene.not_accepted(room.server);
    let doing = scene.doing();
    match waiting(scene) {
        Some(Waiting::Descriptors) if queue == 0 => Ok(()),
        Some(Waiting::Descriptors) => {
            let holders = scene.holders_of_listener(room.server);
            let fds: Vec<i32> = holders.iter().map(|&(_, fd)| fd).collect();
            let what = format!("{queue} guests have connected and are not accepted");
            Err(not_watched(scene, &what, &fds))
        }
        Some(Waiting::Read(_)) if queue > 0 => Err(ONE_AT_A_TIME.seen(format!(
            "{queue} guests are connected and not accepted: {doing}"
        ))),
        Some(Waiting::Read(fd) | Waiting::Write(fd)) => {
            let owner = room.owner(scene, fd);
            Err(WAITS_FOR_ONE.seen(format!("{doing}; {owner}")))
        }
        _ => Err(WAITS_FOR_ONE.seen(doing)),
    }
}

/// The server sleeps, though there is something to do with these descriptors.
fn not_watched(scene: &Scene, what: &str, fds: &[i32]) -> Stop {
    let program = scene.program();
    let call = proc::syscall(program, program).ok().flatten();
    let selects = call.is_some_and(|call| proc::SELECT.contains(&call.number));
    let fd = fds.first().map_or("none".to_owned(), ToString::to_string);
    if !selects {
        return LEFT_UNHEARD.seen(format!(
            "{what} (descriptor {fd} of the server); {}",
            scene.doing()
        ));
    }
    // A machine may forbid to look into its memory.
    let watched = match proc::selected(program, Set::Read) {
        Ok(set) => format!("select waits for descriptors {set:?}, not for {fd}"),
        Err(_) => format!("select does not wait for descriptor {fd}"),
    };
    SET_NOT_REBUILT.seen(format!("{what}: {watched}"))
}
