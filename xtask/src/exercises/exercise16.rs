use super::{Case, Exercise};
use crate::scene::{
    Exit, Mailbox, Misconception, Outcome, Scene, Settled, Stop, Thread, Waiting,
    quote,
};
use std::net::{Ipv4Addr, SocketAddr};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise16",
    title: "Who is there: discovery by multicast",
    lesson: "35_multicast",
    hints: &[
        "How many sockets are needed? Who answers shares its port with others; who \
         asks wants the answers for itself. And three things can come at any time: \
         a command, a question, an answer.",
        "To join is a matter of the group, the interface and one socket \
         (IP_ADD_MEMBERSHIP); to send to a group needs no membership, but an \
         interface (IP_MULTICAST_IF). SO_REUSEADDR has to be set before bind: take \
         socket2::Socket, and make a UdpSocket of it.",
        "A socket that is bound to 0.0.0.0 hears all groups that anybody on this \
         host has joined, and one that is bound to a group hears it as long as \
         anybody is a member. IP_MULTICAST_ALL (ip(7)) switches that off: \
         set_multicast_all_v4(false) of socket2.",
        "One socket at PORT for all groups: SO_REUSEADDR, IP_MULTICAST_ALL off, \
         bound to 0.0.0.0. Another one, bound to (INTERFACE, 0), to ask. A thread \
         receives at the first one and answers, another one receives at the second \
         one and prints; main reads commands, and calls join_multicast_v4, \
         leave_multicast_v4 or send_to.",
    ],
    cases: &[
        Case::new("a member", a_member),
        Case::new("who asks", who_asks),
        Case::new("other datagrams", other_datagrams),
        Case::new("groups of others", groups_of_others),
        Case::new("who leaves", who_leaves),
    ],
};

const NEVER_JOINS: Misconception = Misconception {
    name: "never-joins",
    expected: "after `joined GROUP` the program is a member of that group",
    why: "To have a port is not enough: a host takes in what is sent to a group \
          only where a socket has joined it (IP_ADD_MEMBERSHIP). /proc/net/igmp \
          lists the groups of each interface. Did the call fail, and nobody look?",
    lesson: "35_multicast",
};

const WRONG_INTERFACE: Misconception = Misconception {
    name: "wrong-interface",
    expected: "the group is joined on the interface that INTERFACE names",
    why: "A membership belongs to one interface. With 0.0.0.0 in its place the \
          kernel takes the one to which its routes send such a group: another one, \
          or none (ENODEV). What comes by the right one is not heard.",
    lesson: "35_multicast",
};

const PORT_NOT_SHARED: Misconception = Misconception {
    name: "port-not-shared",
    expected: "the program can have the port although others on this host have it",
    why: "bind fails with EADDRINUSE unless all sockets at that port have set \
          SO_REUSEADDR, each before its bind. For groups that makes sense: each of \
          the members gets a copy.",
    lesson: "35_multicast",
};

const WAITS_FOR_COMMANDS: Misconception = Misconception {
    name: "waits-for-commands",
    expected: "questions are answered while the program waits for a command",
    why: "A datagram waits in the socket, and the program sleeps in a read of \
          standard input. What can come at any time needs somebody who waits for \
          it: a thread for each, or poll for all.",
    lesson: "35_multicast",
};

const WAITS_FOR_DATAGRAMS: Misconception = Misconception {
    name: "waits-for-datagrams",
    expected: "commands are obeyed while the program waits for datagrams",
    why: "There is a command that nobody reads: the program sleeps until a datagram \
          comes. What can come at any time needs somebody who waits for it: a \
          thread for each, or poll for all.",
    lesson: "35_multicast",
};

const ASKS_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "the program sleeps until a command or a datagram comes",
    why: "To look now and then whether something is there keeps the processor busy \
          with nothing, or is late. A thread for each that sleeps in recv, or poll \
          for all, is woken when there is something.",
    lesson: "35_multicast",
};

const NO_ANSWER: Misconception = Misconception {
    name: "no-answer",
    expected: "a member sends its name, once, to the one who asked",
    why: "The question came to a group that the program is in, on the right \
          interface and port. Is it `who is there?`, and are both the address and \
          the port of the sender (recvfrom) where the answer goes?",
    lesson: "35_multicast",
};

const ANSWERS_ANYTHING: Misconception = Misconception {
    name: "answers-anything",
    expected: "only `who is there?` is answered",
    why: "It has answered something else. Two programs that answer whatever comes \
          talk to each other without end, and a group can have many members. A \
          datagram is no line: one byte more, were it that of a new line, and it \
          is another one.",
    lesson: "35_multicast",
};

const ANSWERS_GROUP: Misconception = Misconception {
    name: "answers-group",
    expected: "the answer goes to the one who asked, and to nobody else",
    why: "All members heard it. Each of them would be woken as often as there are \
          members, for something that one of them wants to know.",
    lesson: "35_multicast",
};

const HEARS_OTHERS: Misconception = Misconception {
    name: "hears-others",
    expected: "a question to a group that the program has not joined is not answered",
    why: "Another socket of this host has joined that group, so the host takes its \
          datagrams in, and Linux hands them to all sockets at the port: bound to \
          0.0.0.0, and with IP_MULTICAST_ALL on, as it is at first (ip(7)). Switch \
          it off, or bind a socket to each group.",
    lesson: "35_multicast",
};

const NEVER_LEAVES: Misconception = Misconception {
    name: "never-leaves",
    expected: "after `left GROUP` the program is no member of that group",
    why: "/proc/net/igmp still counts it. It goes on hearing the group, and makes \
          the network bring it here, until the call IP_DROP_MEMBERSHIP, with the \
          same interface, or until the socket is closed.",
    lesson: "35_multicast",
};

const LEAVES_ALL: Misconception = Misconception {
    name: "leaves-all",
    expected: "who leaves one group stays in the others",
    why: "To close a socket is to leave all the groups that it has joined. \
          IP_DROP_MEMBERSHIP leaves one.",
    lesson: "35_multicast",
};

const HEARS_ON: Misconception = Misconception {
    name: "hears-on",
    expected: "a group that the program has left is not answered, whoever stays",
    why: "It is no member any more, but another socket of this host is, so the host \
          still takes the datagrams in; and a socket that is bound to the group, or \
          to 0.0.0.0, hears them unless IP_MULTICAST_ALL is off. Switch it off, or \
          close the socket.",
    lesson: "35_multicast",
};

const ASKS_BY_ROUTE: Misconception = Misconception {
    name: "asks-by-route",
    expected: "the question goes out by the interface that INTERFACE names",
    why: "The members on that interface have heard nothing. A membership does not \
          say by which interface to send; the routes do, and they may know none \
          (ENETUNREACH). IP_MULTICAST_IF says it, or a bind to its address.",
    lesson: "35_multicast",
};

const SHARED_PORT: Misconception = Misconception {
    name: "shared-port",
    expected: "the question comes from a port that only this socket has",
    why: "The answers go to the port where the question came from. To a group all \
          sockets at a port get a copy; a datagram to one address goes to one of \
          them, and that can be another program's.",
    lesson: "35_multicast",
};

const JOINS_TO_ASK: Misconception = Misconception {
    name: "joins-to-ask",
    expected: "who asks does not become a member",
    why: "To send to a group needs no membership. A member hears its questions, \
          those of others too, and is one more that answers.",
    lesson: "35_multicast",
};

const FORGETS_QUESTIONS: Misconception = Misconception {
    name: "forgets-questions",
    expected: "an answer to an earlier `ask` is printed, too, whenever it comes",
    why: "Nobody says how many answers there will be, or when the last one has come. \
          This one is sent to the port from which the first question came: keep its \
          socket and go on reading it, or ask all questions from one.",
    lesson: "35_multicast",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "`joined GROUP`, `left GROUP`, `TEXT is there`; status 0 when the \
               input ends",
    why: "The check reads the output as another program would.",
    lesson: "35_multicast",
};

const NAME: &str = "anna";
const QUESTION: &str = "who is there?";

/// What the program is told, and who asks it.
struct Place {
    port: u16,
    /// Two groups that nobody else has: they are made of the port, and the port is the
    /// case's.
    groups: [Ipv4Addr; 2],
    askers: [Mailbox; 2],
}

impl Place {
    fn at(&self, group: Ipv4Addr) -> SocketAddr {
        SocketAddr::from((group, self.port))
    }
}

fn a_member(scene: &mut Scene) -> Outcome {
    let place = find_place(scene)?;
    let [group, other] = place.groups;
    start(scene, &place)?;
    join(scene, group)?;
    match scene.wait_while_awake(|_| false)? {
        Settled::Busy => {
            let seen =
                format!("it was awake, though nothing came; {}", scene.doing());
            return Err(ASKS_AGAIN.seen(seen));
        }
        Settled::Asleep if scene.naps() => return Err(looks_now_and_then(scene)),
        _ => {}
    }
    let asker = place.askers[0];
    for _ in 0..2 {
        question(scene, &place, asker, group)?;
        answered(scene, asker, &NO_ANSWER)?;
    }
    only_answers(scene, asker, 2)?;
    join(scene, other)?;
    finish(scene)
}

fn who_asks(scene: &mut Scene) -> Outcome {
    let place = find_place(scene)?;
    let [group, other] = place.groups;
    let members = [member(scene, &place, group)?, member(scene, &place, group)?];
    let stranger = member(scene, &place, other)?;
    start(scene, &place)?;
    let settled = ask(scene, group, &members, 1)?;
    let heard = scene.received(members[0]).first().cloned();
    let Some(heard) = heard else {
        let what = "`ask GROUP`, of which no member on that interface has heard,";
        let by_route = || ASKS_BY_ROUTE.seen(with_last_words(scene, what));
        return Err(disobeyed(scene, settled, what).unwrap_or_else(by_route));
    };
    if heard.text() != QUESTION || scene.received(members[0]).len() > 1 {
        let seen = format!("a member has heard {}", quote(&heard.text()));
        return Err(OUTPUT.seen(format!("{seen} and not once {}", quote(QUESTION))));
    }
    if !scene.received(stranger).is_empty() {
        return Err(OUTPUT.seen(format!("{group} was to be asked, not {other}")));
    }
    if heard.from.port() == place.port {
        let seen = format!("it came from {}; others have that port", heard.from);
        return Err(SHARED_PORT.seen(seen));
    }
    scene.wait_while_awake(|_| false)?;
    if scene.lines().iter().any(|line| *line == format!("{NAME} is there")) {
        let seen =
            format!("its name is {NAME}; it is not in {group}, and has answered");
        return Err(HEARS_OTHERS.seen(seen));
    }
    let count: usize = scene.members(group).iter().map(|(_, count)| count).sum();
    if count != members.len() {
        let seen = format!("{} members before it asked, {count} now", members.len());
        return Err(JOINS_TO_ASK.seen(seen));
    }
    for (index, (member, name)) in (1..).zip(members.iter().zip(["bert", "carl"])) {
        scene.post(*member, name, heard.from)?;
        printed(scene, index, name)?;
    }
    // Another question, and then one more answer to the first.
    let settled = ask(scene, group, &members, 2)?;
    let Some(again) = scene.received(members[0]).get(1).cloned() else {
        let what = "a second `ask GROUP`, of which no member has heard,";
        let silent = || OUTPUT.so_far(scene, what);
        return Err(disobeyed(scene, settled, what).unwrap_or_else(silent));
    };
    // Whatever it does when it has asked is done.
    scene.wait_while_awake(|_| false)?;
    scene.post(members[1], "dora", heard.from)?;
    let settled = scene.wait_while_awake(|s| s.count_lines() > 2)?;
    let waits = scene.exit().is_none() && settled != Settled::Busy;
    let silent = waits && scene.count_lines() == 2 && !waits_for_commands(scene);
    if silent && heard.from != again.from {
        let ports =
            format!("{}, then from {}", heard.from.port(), again.from.port());
        let seen = format!("it has asked from port {ports}; an answer to the first");
        return Err(FORGETS_QUESTIONS.seen(format!("{seen} port is not printed")));
    }
    printed(scene, 3, "dora")?;
    scene.post(members[0], "emil", again.from)?;
    printed(scene, 4, "emil")?;
    finish(scene)
}

/// Line number `index` says that this one is there.
fn printed(scene: &mut Scene, index: usize, name: &str) -> Outcome {
    let settled = scene.wait_while_awake(|s| s.count_lines() >= index)?;
    let line = scene.lines().get(index - 1).cloned();
    if line == Some(format!("{name} is there")) {
        return Ok(());
    }
    Err(match settled {
        Settled::Busy => ASKS_AGAIN.seen(scene.doing()),
        _ if waits_for_commands(scene) => WAITS_FOR_COMMANDS.hung(scene.doing()),
        _ => OUTPUT.so_far(scene, &format!("the answer {}", quote(name))),
    })
}

fn other_datagrams(scene: &mut Scene) -> Outcome {
    let place = find_place(scene)?;
    let [group, _] = place.groups;
    let neighbour = member(scene, &place, group)?;
    start(scene, &place)?;
    join(scene, group)?;
    let asker = place.askers[0];
    let (a_line, longer) =
        (format!("{QUESTION}\n"), format!("{QUESTION} and where?"));
    let strays = ["", "bert", "who is there", &a_line, &longer];
    let mut others = Vec::new();
    for text in strays {
        others.push(scene.mailbox()?.0);
        scene.post(others[others.len() - 1], text, place.at(group))?;
    }
    question(scene, &place, asker, group)?;
    answered(scene, asker, &NO_ANSWER)?;
    scene.wait_while_awake(|_| false)?;
    for (other, text) in others.iter().zip(strays) {
        if let Some(answer) = scene.received(*other).first() {
            let (text, answer) = (quote(text), quote(&answer.text()));
            let seen = format!("{text} came, and was answered with {answer}");
            return Err(ANSWERS_ANYTHING.seen(seen));
        }
    }
    only_answers(scene, asker, 1)?;
    // All those, and the question.
    if let Some(datagram) = scene.received(neighbour).get(others.len() + 1) {
        let seen = format!("another member has heard {}", quote(&datagram.text()));
        return Err(ANSWERS_GROUP.seen(seen));
    }
    finish(scene)
}

fn groups_of_others(scene: &mut Scene) -> Outcome {
    let place = find_place(scene)?;
    let [group, other] = place.groups;
    let stranger = member(scene, &place, other)?;
    start(scene, &place)?;
    join(scene, group)?;
    let [asker, asker_of_other] = place.askers;
    question(scene, &place, asker_of_other, other)?;
    question(scene, &place, asker, group)?;
    answered(scene, asker, &NO_ANSWER)?;
    scene.wait_while_awake(|_| false)?;
    heard_it(scene, stranger)?;
    if !scene.received(asker_of_other).is_empty() {
        let seen = format!("it has joined {group}, and has answered for {other}");
        return Err(HEARS_OTHERS.seen(seen));
    }
    finish(scene)
}

fn who_leaves(scene: &mut Scene) -> Outcome {
    let place = find_place(scene)?;
    let [group, other] = place.groups;
    let [asker, asker_of_other] = place.askers;
    start(scene, &place)?;
    join(scene, group)?;
    join(scene, other)?;
    question(scene, &place, asker, group)?;
    answered(scene, asker, &NO_ANSWER)?;
    question(scene, &place, asker_of_other, other)?;
    answered(scene, asker_of_other, &NO_ANSWER)?;
    only_answers(scene, asker, 1)?;
    command(scene, &format!("leave {group}"), &format!("left {group}"))?;
    // A thread that still has the socket may be on its way to close it.
    scene.wait_while_awake(|s| s.members(group).is_empty())?;
    if let Some((interface, _)) = scene.members(group).first() {
        let seen =
            format!("{group} has a member on {interface} after `left {group}`");
        return Err(NEVER_LEAVES.seen(seen));
    }
    if scene.members(other).is_empty() {
        let seen = format!("it has left {group}, and is not in {other} any more");
        return Err(LEAVES_ALL.seen(seen));
    }
    // Somebody else on this host stays in the group.
    let stays = member(scene, &place, group)?;
    question(scene, &place, asker, group)?;
    question(scene, &place, asker_of_other, other)?;
    answered(scene, asker_of_other, &LEAVES_ALL)?;
    scene.wait_while_awake(|_| false)?;
    heard_it(scene, stays)?;
    if scene.received(asker).len() > 1 {
        let seen =
            format!("it has left {group}, another stays, and it has answered");
        return Err(HEARS_ON.seen(seen));
    }
    // And back again.
    scene.close_mailbox(stays);
    join(scene, group)?;
    question(scene, &place, asker, group)?;
    answered(scene, asker, &NO_ANSWER)?;
    only_answers(scene, asker, 2)?;
    finish(scene)
}

fn find_place(scene: &mut Scene) -> Result<Place, Stop> {
    let port = scene.reserve_port()?.port();
    let [high, low] = port.to_be_bytes();
    let groups = [251, 252].map(|n| Ipv4Addr::new(239, n, high, low));
    let askers = [scene.mailbox()?.0, scene.mailbox()?.0];
    Ok(Place { port, groups, askers })
}

fn start(scene: &mut Scene, place: &Place) -> Outcome {
    scene.start(&[NAME, "127.0.0.1", &place.port.to_string()])
}

/// Another member of the group on this host, which says nothing by itself.
fn member(
    scene: &mut Scene,
    place: &Place,
    group: Ipv4Addr,
) -> Result<Mailbox, Stop> {
    let mailbox = scene.mailbox_at(place.at(group))?;
    scene.join(mailbox, group)?;
    Ok(mailbox)
}

/// The program joins a group in which nobody else is, or only members on the loopback
/// interface.
fn join(scene: &mut Scene, group: Ipv4Addr) -> Outcome {
    let on_lo = |scene: &Scene| {
        let all = scene.members(group).into_iter();
        all.filter(|(name, _)| name == "lo").map(|(_, count)| count).sum::<usize>()
    };
    let before = on_lo(scene);
    command(scene, &format!("join {group}"), &format!("joined {group}"))?;
    if scene.wait_while_awake(|s| on_lo(s) > before)? == Settled::Reached {
        return Ok(());
    }
    let elsewhere = scene.members(group).into_iter().find(|(name, _)| name != "lo");
    Err(match elsewhere {
        Some((name, _)) => {
            let seen = format!("the program has joined {group} on {name}");
            WRONG_INTERFACE.seen(format!("{seen}; 127.0.0.1 is the address of lo"))
        }
        None => {
            let seen = format!("it said `joined {group}`, and lo has no new member");
            NEVER_JOINS.seen(seen)
        }
    })
}

/// Tells the program to ask, and waits until these members have heard so many questions.
fn ask(
    scene: &mut Scene,
    group: Ipv4Addr,
    members: &[Mailbox],
    count: usize,
) -> Result<Settled, Stop> {
    scene.send(&format!("ask {group}\n"));
    scene.wait_while_awake(|s| members.iter().all(|&m| s.received(m).len() >= count))
}

/// A command that is to be answered by this line.
fn command(scene: &mut Scene, text: &str, reply: &str) -> Outcome {
    let count = scene.count_lines() + 1;
    scene.send(&format!("{text}\n"));
    let settled = scene.wait_while_awake(|s| s.count_lines() >= count)?;
    if scene.lines().get(count - 1).is_some_and(|line| line == reply) {
        return Ok(());
    }
    let what = format!("`{text}`");
    Err(disobeyed(scene, settled, &what)
        .unwrap_or_else(|| OUTPUT.so_far(scene, &what)))
}

/// Why a command has had no effect, if that can be seen.
fn disobeyed(scene: &Scene, settled: Settled, what: &str) -> Option<Stop> {
    let err = scene.err();
    let said = |words: &[&str]| words.iter().any(|word| err.contains(word));
    Some(if said(&["Address already in use", "EADDRINUSE"]) {
        PORT_NOT_SHARED.seen(with_last_words(scene, what))
    } else if said(&["No such device", "ENODEV"]) {
        WRONG_INTERFACE.seen(with_last_words(scene, what))
    } else if settled == Settled::Busy {
        ASKS_AGAIN.seen(scene.so_far(what))
    } else if scene.exit().is_none() && scene.unread_input() > 0 && scene.listens() {
        WAITS_FOR_DATAGRAMS.hung(scene.doing())
    } else {
        return None;
    })
}

/// Somebody asks the group.
fn question(
    scene: &mut Scene,
    place: &Place,
    asker: Mailbox,
    group: Ipv4Addr,
) -> Outcome {
    scene.post(asker, QUESTION, place.at(group))
}

/// Waits until one answer more has come to the asker than the case has read so far.
fn answered(scene: &mut Scene, asker: Mailbox, wrong: &Misconception) -> Outcome {
    let before = scene.received(asker).len();
    let settled = scene.wait_while_awake(|s| s.received(asker).len() > before)?;
    if scene.received(asker).len() > before {
        return Ok(());
    }
    Err(match settled {
        Settled::Busy => ASKS_AGAIN.seen(scene.doing()),
        _ if waits_for_commands(scene) => {
            let seen = format!("a question waits; {}", scene.doing());
            WAITS_FOR_COMMANDS.hung(seen)
        }
        Settled::Asleep if scene.has_unread_datagrams() => looks_now_and_then(scene),
        _ => wrong.so_far(scene, "a question to a group that it has joined"),
    })
}

/// All that has come to the asker are so many answers.
fn only_answers(scene: &mut Scene, asker: Mailbox, count: usize) -> Outcome {
    scene.wait_while_awake(|s| s.received(asker).len() > count)?;
    let all: Vec<String> =
        scene.received(asker).iter().map(|answer| quote(&answer.text())).collect();
    if all == vec![quote(NAME); count] {
        return Ok(());
    }
    let seen = format!("its name is {NAME}; {count} questions, the answers");
    Err(NO_ANSWER.seen(format!("{seen} {}", all.join(", "))))
}

/// The case's own member has heard the question, so there was something to hear.
fn heard_it(scene: &Scene, member: Mailbox) -> Outcome {
    match scene.received(member).iter().any(|d| d.text() == QUESTION) {
        true => Ok(()),
        false => Err(scene.cannot_tell("a datagram to a group has not come to lo")),
    }
}

fn looks_now_and_then(scene: &Scene) -> Stop {
    ASKS_AGAIN.seen(format!("{}; it naps, and looks again", scene.doing()))
}

/// A datagram is there, and whoever could read it sleeps in a read of commands.
fn waits_for_commands(scene: &Scene) -> bool {
    let reads = |thread: &Thread| thread.waiting == Waiting::Read(0);
    scene.has_unread_datagrams()
        && scene.threads().iter().any(reads)
        && !scene.naps()
}

/// What it has done so far, and what it said about it.
fn with_last_words(scene: &Scene, what: &str) -> String {
    let so_far = scene.so_far(what);
    match scene.last_words() {
        words if words.is_empty() => so_far,
        words => format!("{so_far}; it said {words}"),
    }
}

fn finish(scene: &mut Scene) -> Outcome {
    let lines = scene.count_lines();
    if scene.finish()? == Exit::Code(0) && scene.count_lines() == lines {
        return Ok(());
    }
    Err(OUTPUT.so_far(scene, "the end of its input"))
}
