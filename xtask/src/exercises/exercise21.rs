use super::servers::{ENDS, NO_END, goes_on, rest, start_with, waits_in_open};
use super::{Case, Exercise};
use crate::scene::{
    End, Entries, Exit, Misconception, Outcome, Peer, Scene, Settled, Stop, Watch,
    quote,
};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise21",
    title: "A file server and its client",
    lesson: "46_file_server",
    hints: &[
        "Begin with two functions that both sides use: one that reads a line, and \
         one that stores LENGTH bytes as a file. One BufReader for the whole \
         connection reads the lines and the data: it may have read further than \
         the line, and what it holds is in no other place.",
        "A line: `reader.take(512).read_until(b'\\n', &mut line)`. Nothing read \
         is the end; no `\\n` at the end is half a line, or too long a one. Data: \
         `io::copy(&mut reader.take(length), &mut file)` says how much came. If \
         that is less than LENGTH the connection was cut.",
        "Storing: `File::create_new` of a hidden name that no other upload has \
         (the process id and a counter), copy, compare the length, `fs::rename`. \
         On every other way out `fs::remove_file`. Of a put that is refused read \
         the rest of the LENGTH bytes all the same, else they are taken for \
         requests.",
        "Names: check them before anything is opened: length, `/`, dot in front, \
         control characters. A link passes such a check: open with O_NOFOLLOW \
         (`custom_flags`), and then ask the open file whether it is a regular one. \
         For the list `DirEntry::file_type` tells the kind of the entry itself.",
        "Clients at once: a thread for each. An error in it ends this thread and \
         no other. Compare LENGTH with the limit before you make room for it, and \
         on both sides. The client says `put` when it has read the answer, not \
         when it has sent the file.",
    ],
    cases: &[
        Case::new("requests in pieces", in_pieces),
        Case::new("list, get and put", conversation),
        Case::new("names", names),
        Case::new("uploads that break off", cuts),
        Case::new("clients at once", at_once),
        Case::new("lengths and lines", lengths),
        Case::new("the client asks", client_asks),
        Case::new("downloads that break off", client_cut),
        Case::new("answers that are none", client_told_nonsense),
    ],
};

const ANSWER: Misconception = Misconception {
    name: "answer",
    expected: "the server answers each request as the protocol says",
    why: "The brief has the protocol at its top. A request is a line, an answer \
          is a line, `ok LENGTH` with so many bytes behind it or `error TEXT`.",
    lesson: "46_file_server",
};

const SPLIT_REQUEST: Misconception = Misconception {
    name: "split-request",
    expected: "a request may come in any pieces, also byte by byte",
    why: "A read gives what has arrived so far, and that need not be a request: a \
          stream has no messages. Read on until the line has its end, and until \
          all LENGTH bytes are there.",
    lesson: "28_stream",
};

const LOSES_THE_REST: Misconception = Misconception {
    name: "loses-the-rest",
    expected: "what comes in one piece with a line is not lost: it is the data, \
               or the next line",
    why: "A read may give more than the line. The rest of it is in the buffer, \
          and never comes again from the socket: keep it for the next step. One \
          BufReader for the whole connection does that; a new one for each line, \
          or reading the socket beside it, loses it.",
    lesson: "28_stream",
};

const END_MARKER: Misconception = Misconception {
    name: "end-marker",
    expected: "a file may hold any bytes, and comes back as it was",
    why: "A mark that ends the data is found in some file some day. The protocol \
          says first how many bytes will come: count them, and look at none.",
    lesson: "46_file_server",
};

const WRITTEN_IN_PLACE: Misconception = Misconception {
    name: "written-in-place",
    expected: "a file gets its name when it is whole",
    why: "It was created, or emptied, and then written under its own name. Who \
          looks in between, or after a crash, sees a part; and the older file is \
          gone. To write it at once and quickly makes that rare, and rename(2) \
          makes it impossible.",
    lesson: "46_file_server",
};

const HIDDEN_LISTED: Misconception = Misconception {
    name: "hidden-listed",
    expected: "list shows the regular files with a good name, and nothing else",
    why: "A folder holds more than what is meant for others: hidden files, \
          folders, links, names with control characters that play tricks on a \
          terminal. What a get does not give, a list does not show.",
    lesson: "46_file_server",
};

const PATH_ESCAPES: Misconception = Misconception {
    name: "path-escapes",
    expected: "no name leads out of the folder",
    why: "`folder.join(name)` goes wherever the name goes: up with `..`, down \
          into another folder, and an absolute name replaces all before it. The \
          name comes from a stranger: here one with a `/` is never good.",
    lesson: "46_file_server",
};

const LINK_FOLLOWED: Misconception = Misconception {
    name: "link-followed",
    expected: "a symbolic link leads nobody out of the folder",
    why: "The name is good, but open(2) goes where the link goes. O_NOFOLLOW \
          refuses links in the moment of the opening; std's metadata() follows \
          them, symlink_metadata() and DirEntry::file_type() do not.",
    lesson: "46_file_server",
};

const NAME_UNCHECKED: Misconception = Misconception {
    name: "name-unchecked",
    expected: "a request with a name that is not good is refused, and changes \
               nothing",
    why: "Control characters, a dot in front, no name at all: the brief says \
          which names are good. Check it in one place, for get and for put.",
    lesson: "46_file_server",
};

const GOOD_NAME_REFUSED: Misconception = Misconception {
    name: "good-name-refused",
    expected: "a name with two dots, a space or 255 bytes is as good as any",
    why: "The name is all the rest of the line. `a..b` leads nowhere: only the \
          component `..` does, and that takes a `/` or a dot in front. And 255 bytes \
          are the most that the kernel takes: a hidden name that is made of such a \
          name and something more is too long (ENAMETOOLONG). Make it of numbers.",
    lesson: "46_file_server",
};

const NOT_A_FILE: Misconception = Misconception {
    name: "not-a-file",
    expected: "what is no regular file does not exist for a client",
    why: "A folder can be opened, and cannot be read; to open a FIFO waits until \
          somebody opens it for writing, perhaps for ever. Open with O_NONBLOCK, and \
          then ask the open file whether it is a regular one.",
    lesson: "46_file_server",
};

const LINE_TRIMMED: Misconception = Misconception {
    name: "line-trimmed",
    expected: "a line is taken as it came, and only its `\\n` is taken off",
    why: "`trim` and `lines` take off more: blanks, which may belong to NAME, and a \
          `\\r`. What is left is another line than the one that was sent. Take off the \
          `\\n` and nothing else, as `strip_suffix('\\n')` does.",
    lesson: "46_file_server",
};

const REFUSED_DATA_OBEYED: Misconception = Misconception {
    name: "refused-data-obeyed",
    expected: "the bytes of a put that is refused are dropped",
    why: "The client has sent them with the request. They are still in the stream \
          after the refusal, and who reads a line next takes the file for \
          requests, which its author has chosen. Read all LENGTH bytes first.",
    lesson: "46_file_server",
};

const HANGS_UP: Misconception = Misconception {
    name: "hangs-up",
    expected: "the conversation goes on, until the client has sent its end",
    why: "A request that is refused or answered is no reason to close: the next \
          one may follow on the same connection. A line with an empty NAME is a \
          request, too; who trims it makes another one of it.",
    lesson: "46_file_server",
};

const PARTIAL_VISIBLE: Misconception = Misconception {
    name: "partial-visible",
    expected: "nothing is seen of an upload before it is whole",
    why: "Others list and get while one sends. Write under a hidden name in the \
          same folder, and rename it when the last byte has come: rename(2) is \
          one step.",
    lesson: "46_file_server",
};

const CUT_TAKEN_FOR_END: Misconception = Misconception {
    name: "cut-taken-for-end",
    expected: "an upload that breaks off leaves the folder as it was",
    why: "A read that returns 0 says that nothing more comes, not that all has \
          come. Compare what came with the LENGTH that was said.",
    lesson: "46_file_server",
};

const HALF_LINE_OBEYED: Misconception = Misconception {
    name: "half-line-obeyed",
    expected: "a line without its `\\n` is no request",
    why: "`read_line` and `lines` return what came before the end of the stream as well. \
          `get plain` may be the beginning of `get plain.txt`: who breaks off in the \
          middle of a line has asked for nothing. Look whether its `\\n` is there.",
    lesson: "28_stream",
};

const LENGTH_WITH_SIGN: Misconception = Misconception {
    name: "length-with-sign",
    expected: "LENGTH consists of digits, and of nothing else",
    why: "`parse` takes `+5` for a number too; C's strtoul takes a blank and a minus as \
          well. Two programs that read one number differently disagree about where the \
          next message begins, and that is how requests are smuggled. Ask for digits \
          first.",
    lesson: "46_file_server",
};

const LEAVES_TEMPORARY: Misconception = Misconception {
    name: "leaves-temporary",
    expected: "what was not stored leaves nothing behind, not even a hidden file",
    why: "Nobody sees it, but it takes its place on the disk, one more for each \
          connection that breaks. Remove it on every way out but the rename: with \
          an error it is easily left by `?`.",
    lesson: "46_file_server",
};

const SHARED_TEMPORARY: Misconception = Misconception {
    name: "shared-temporary",
    expected: "two uploads of one name at once do not meet: the last to be whole \
               wins",
    why: "Both write to the same temporary file. Each needs a name of its own \
          (create_new fails if there is one already; a counter makes the next).",
    lesson: "46_file_server",
};

const ONE_AT_A_TIME: Misconception = Misconception {
    name: "one-at-a-time",
    expected: "a client that is slow, or silent, keeps nobody waiting",
    why: "The server is busy with one client before it turns to the next. That \
          one is connected all the same: the kernel has put it into the queue of \
          the listening socket, where nobody answers.",
    lesson: "36_iterative",
};

const GIANT_LENGTH: Misconception = Misconception {
    name: "giant-length",
    expected: "no LENGTH is more than 1048576: what is larger is refused, at once",
    why: "The length comes from a stranger too. Who makes room for 4 GiB, or \
          waits for them, because somebody says so, can be stopped by one line; \
          and a number may be too large for any type. Compare it with the limit \
          first. What may not be received may not be sent either: a file that is \
          larger is refused.",
    lesson: "46_file_server",
};

const ENDLESS_LINE: Misconception = Misconception {
    name: "endless-line",
    expected: "a line that has no end after 512 bytes is refused at once",
    why: "A line is read until its end, and a stranger may send none: the buffer \
          grows as long as somebody sends. `take(512)` before `read_until` is a \
          limit.",
    lesson: "46_file_server",
};

const REQUEST: Misconception = Misconception {
    name: "request",
    expected: "the client sends the request that the protocol has for its command",
    why: "`list`, `get NAME` or `put LENGTH NAME`, and `\\n`; behind a put the \
          file, all of it. The server counts, so each byte matters.",
    lesson: "46_file_server",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "the client prints what the brief says, stores the file, and ends \
               with 0",
    why: "The names for list; `got LENGTH bytes`; `put LENGTH bytes`. The check \
          reads it as another program would.",
    lesson: "46_file_server",
};

const READS_TO_THE_END: Misconception = Misconception {
    name: "reads-to-the-end",
    expected: "the client is done when the answer is there",
    why: "It reads until the connection ends. The server does not close it: it \
          waits for the next request, or for the client's end. So both wait. The \
          answer says how long it is.",
    lesson: "46_file_server",
};

const SPLIT_ANSWER: Misconception = Misconception {
    name: "split-answer",
    expected: "an answer may come in any pieces, also byte by byte",
    why: "A read gives what has arrived so far. Read on until the line has its \
          end, and until all LENGTH bytes are there.",
    lesson: "28_stream",
};

const BROKEN_TAKEN_FOR_WHOLE: Misconception = Misconception {
    name: "broken-taken-for-whole",
    expected: "an answer that breaks off is an error: nothing is printed, status 1",
    why: "The end of the connection comes also when the server has crashed. \
          Without a look at LENGTH a part looks like the whole. read_exact fails \
          where read_to_end does not.",
    lesson: "46_file_server",
};

const PART_STORED: Misconception = Misconception {
    name: "part-stored",
    expected: "a download that does not come whole leaves the working folder as \
               it was",
    why: "The file was created before all was there, or before the answer was \
          known, and an older one is lost. Store it as the server does: hidden, \
          then renamed.",
    lesson: "46_file_server",
};

const UNCONFIRMED: Misconception = Misconception {
    name: "unconfirmed",
    expected: "a put is done when the server has said so",
    why: "What has been written to a socket is in a buffer of the kernel. The \
          server may be gone, or its disk full. Only its answer tells: `ok 0`, and \
          no other.",
    lesson: "46_file_server",
};

const REFUSAL_UNSEEN: Misconception = Misconception {
    name: "refusal-unseen",
    expected: "an answer `error TEXT` ends the client with status 1",
    why: "The reason belongs on standard error, and the status tells a script. \
          Who does not look at the first word takes a refusal for success.",
    lesson: "46_file_server",
};

const LIST_UNCHECKED: Misconception = Misconception {
    name: "list-unchecked",
    expected: "a list with a name that is not good, or without its last `\\n`, is an \
               error: nothing is printed, status 1",
    why: "The names are a stranger's, and the terminal obeys the control characters in \
          them. Check each as you check one of your own. `lines` does not help: it \
          takes off a `\\r`, and does not miss the last `\\n`; split_inclusive('\\n') \
          keeps what came.",
    lesson: "46_file_server",
};

const NAME_INJECTED: Misconception = Misconception {
    name: "name-injected",
    expected: "a name that is not good is refused before anything is sent",
    why: "A name with a `\\n` in it ends the line, and what follows is a request \
          of its own. The client has to check what it puts into a line; and how long \
          it is: `len` counts bytes, `chars` does not.",
    lesson: "46_file_server",
};

const TAKES_TOO_MUCH: Misconception = Misconception {
    name: "takes-too-much",
    expected: "the client takes LENGTH bytes, and not one more",
    why: "What comes behind them belongs to the next answer.",
    lesson: "46_file_server",
};

/// Where the server has its files.
const FOLDER: &str = "shared";
const LARGEST: usize = 1 << 20;
const SECRET: &[u8] = b"outside of the folder\n";
const PLAIN: &[u8] = b"plain words\n";
/// What others would take for an end, or for a request.
const MARKERS: &[u8] =
    b"one\n.\n\r\n.\r\n\r\n\0\nEOF\nEND\nok 0\nerror no\n\x04\x1a\xff\xfe\
    \n\nget plain\nquit\nbye\n--\nthe end";

/// A connection to the server, and how much of what it said has been looked at.
struct Talk {
    peer: Peer,
    at: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Data(Vec<u8>),
    Error(String),
    Strange(String),
    /// It does not come, or not all of it.
    None,
}

impl Answer {
    /// The first of these bytes, if it is complete, and how long it is.
    fn parse(heard: &[u8]) -> Option<(Answer, usize)> {
        let end = heard.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(&heard[..end]).into_owned();
        let (length, rest) = (end + 1, &heard[end + 1..]);
        if line == "error" || line.starts_with("error ") {
            return Some((Answer::Error(line), length));
        }
        match line.strip_prefix("ok ").and_then(|text| text.parse().ok()) {
            Some(size) if size <= rest.len() => {
                Some((Answer::Data(rest[..size].to_vec()), length + size))
            }
            Some(_) => None,
            None => Some((Answer::Strange(line), length)),
        }
    }

    fn is(&self, data: &[u8]) -> bool {
        matches!(self, Answer::Data(own) if own == data)
    }

    /// The names, in their order, if it is a list.
    fn names(&self) -> Option<Vec<String>> {
        let Answer::Data(data) = self else { return None };
        let text = String::from_utf8_lossy(data);
        let complete = text.is_empty() || text.ends_with('\n');
        // Not `lines`: a `\r` would belong to the name.
        let lines = text.split_terminator('\n');
        let mut names: Vec<String> = lines.map(str::to_owned).collect();
        names.sort();
        complete.then_some(names)
    }

    fn told(&self) -> String {
        match self {
            Answer::Data(data) => {
                let text = quote(&String::from_utf8_lossy(data));
                format!("the answer is ok, with {} bytes: {text}", data.len())
            }
            Answer::Error(line) => format!("the answer is {}", quote(line)),
            Answer::Strange(line) => {
                format!("the answer begins with the line {}", quote(line))
            }
            Answer::None => "there is no answer, or not all of it".to_owned(),
        }
    }
}

impl Talk {
    fn new(scene: &mut Scene, server: SocketAddr) -> Result<Talk, Stop> {
        Ok(Talk { peer: connect(scene, server)?, at: 0 })
    }

    /// The next answer, as soon as it is complete, or will not be.
    fn hear(&mut self, scene: &mut Scene) -> Result<Answer, Stop> {
        let (peer, at) = (self.peer, self.at);
        let next = |scene: &Scene| Answer::parse(&scene.heard(peer)[at..]);
        let there =
            |scene: &Scene| next(scene).is_some() || scene.end_of(peer).is_some();
        scene.wait(there)?;
        match next(scene) {
            Some((answer, length)) => {
                self.at += length;
                Ok(answer)
            }
            None => {
                goes_on(scene, "a request")?;
                Ok(Answer::None)
            }
        }
    }

    /// Whether the server does not come to an answer because it opens this FIFO.
    fn waits_in_open(&self, scene: &mut Scene, fifo: &str) -> Result<bool, Stop> {
        let mut waits = false;
        scene.wait(|scene| {
            waits = waits_in_open(scene, fifo);
            waits || scene.heard(self.peer).len() > self.at || self.is_over(scene)
        })?;
        Ok(waits)
    }

    fn ask(
        &mut self,
        scene: &mut Scene,
        request: impl AsRef<[u8]>,
    ) -> Result<Answer, Stop> {
        scene.say(self.peer, request);
        self.hear(scene)
    }

    /// Whether the server has ended it by now.
    fn is_over(&self, scene: &Scene) -> bool {
        scene.end_of(self.peer).is_some()
    }

    /// Whether the server has ended it, or will.
    fn has_ended(&self, scene: &mut Scene) -> Result<bool, Stop> {
        scene.wait(|scene| self.is_over(scene))?;
        Ok(self.is_over(scene))
    }
}

fn connect(scene: &mut Scene, server: SocketAddr) -> Result<Peer, Stop> {
    let connected = scene.connect(server);
    if connected.is_err() {
        // Perhaps the server has ended, or is about to.
        rest(scene, "what other clients did")?;
    }
    connected
}

/// So many bytes with a put in front of them.
fn put(name: &str, data: &[u8]) -> Vec<u8> {
    [format!("put {} {name}\n", data.len()).as_bytes(), data].concat()
}

/// The folder, what lies beside it, and a server for it.
fn serve(scene: &mut Scene) -> Result<SocketAddr, Stop> {
    let made = std::fs::create_dir_all(format!("{FOLDER}/sub"))
        .and_then(|()| symlink("../secret", format!("{FOLDER}/link")));
    if made.is_err() {
        return Err(scene.cannot_tell("the folder for the server cannot be made"));
    }
    scene.file("secret", SECRET)?;
    for name in ["plain", ".hidden", "sub/inner", "two\nlines", "bell\x07"] {
        scene.file(&format!("{FOLDER}/{name}"), PLAIN)?;
    }
    scene.file(&format!("{FOLDER}/notes"), MARKERS)?;
    // Nobody has it open.
    drop(scene.gate(&format!("{FOLDER}/fifo"))?);
    start_with(scene, &["serve", "127.0.0.1:0", FOLDER])
}

/// What a list must show at the beginning.
const LISTED: [&str; 2] = ["notes", "plain"];

fn in_pieces(scene: &mut Scene) -> Outcome {
    let server = serve(scene)?;
    let mut talk = Talk::new(scene, server)?;
    let answer = talk.ask(scene, "get plain\n")?;
    if !answer.is(PLAIN) {
        let (seen, doing) = (answer.told(), scene.doing_all());
        return Err(ANSWER.seen(format!("to “get plain”: {seen}; {doing}")));
    }
    for request in [put("slow", b"eight by"), b"get slow\n".to_vec()] {
        for byte in &request {
            scene.say(talk.peer, [*byte]);
            scene.wait_until_taken(talk.peer)?;
        }
        let answer = talk.hear(scene)?;
        let right: &[u8] =
            if request.starts_with(b"put") { b"" } else { b"eight by" };
        if !answer.is(right) {
            let (request, seen) = (String::from_utf8_lossy(&request), answer.told());
            let request = quote(&request);
            let seen = format!("{request} was sent byte by byte: {seen}");
            return Err(SPLIT_REQUEST.seen(seen));
        }
    }
    let at_once =
        [&b"get plain\n"[..], &put("x", b"abc"), b"get x\nget plain\n"].concat();
    scene.say(talk.peer, &at_once);
    for right in [PLAIN, b"", b"abc", PLAIN] {
        let answer = talk.hear(scene)?;
        if !answer.is(right) {
            let (text, seen) = (String::from_utf8_lossy(&at_once), answer.told());
            let text = quote(&text);
            return Err(LOSES_THE_REST.seen(format!(
                "{text} was sent in one piece; where ok with {} bytes should come: {seen}",
                right.len()
            )));
        }
    }
    Ok(())
}

fn conversation(scene: &mut Scene) -> Outcome {
    let server = serve(scene)?;
    let mut talk = Talk::new(scene, server)?;
    is_listed(scene, &mut talk, &LISTED, "at the beginning")?;
    comes_back(scene, &mut talk, "notes", MARKERS)?;
    rest(scene, "a client came and asked")?;
    // New ones, and one that was there.
    let upper = MARKERS.to_ascii_uppercase();
    for (name, data) in [("new", MARKERS), ("notes", &upper), ("empty", b"")] {
        let answer = talk.ask(scene, put(name, data))?;
        let stored = scene.entries(FOLDER)?.get(name).cloned();
        let whole = stored.as_deref() == Some(data);
        if stored.is_some_and(|own| own.len() < data.len() && data.starts_with(&own))
        {
            return Err(END_MARKER.seen(format!(
                "a put of {} bytes that hold what might be taken for an end: fewer are \
                 in the file; {}",
                data.len(),
                answer.told()
            )));
        }
        if !whole || !answer.is(b"") {
            let (what, seen) = (format!("put {} {name}", data.len()), answer.told());
            let there = if whole { "is stored" } else { "is not there, or differs" };
            return Err(
                ANSWER.seen(format!("to “{what}”: {seen}; the file {there}"))
            );
        }
        comes_back(scene, &mut talk, name, data)?;
    }
    is_listed(
        scene,
        &mut talk,
        &["empty", "new", "notes", "plain"],
        "after two more puts",
    )?;
    scene.shut(talk.peer);
    if !talk.has_ended(scene)? {
        let doing = scene.doing_all();
        return Err(
            NO_END.hung(format!("a client has sent its end and waits: {doing}"))
        );
    }
    let mut talk = Talk::new(scene, server)?;
    let answer = talk.ask(scene, "delete notes\n")?;
    if !matches!(answer, Answer::Error(_)) || !talk.has_ended(scene)? {
        let seen = answer.told();
        return Err(ANSWER.seen(format!(
            "“delete notes” is no request; {seen}; the connection {}",
            if scene.end_of(talk.peer).is_some() {
                "has ended"
            } else {
                "is still open"
            }
        )));
    }
    rest(scene, "two clients left")
}

/// The list shows these names.
fn is_listed(
    scene: &mut Scene,
    talk: &mut Talk,
    names: &[&str],
    when: &str,
) -> Outcome {
    let answer = talk.ask(scene, "list\n")?;
    let Some(shown) = answer.names() else {
        let (seen, doing) = (answer.told(), scene.doing_all());
        return Err(ANSWER.seen(format!("to “list” {when}: {seen}; {doing}")));
    };
    if shown == names {
        return Ok(());
    }
    let mut more = shown.iter().filter(|name| !names.contains(&name.as_str()));
    let seen = format!("{when} it shows {}", quote(&shown.join(", ")));
    Err(match more.next().map(String::as_str) {
        Some("link") => LINK_FOLLOWED.seen(seen),
        Some(_) => HIDDEN_LISTED.seen(seen),
        None => ANSWER.seen(format!("{seen}, where {} are", names.join(", "))),
    })
}

/// A get of this gives that.
fn comes_back(
    scene: &mut Scene,
    talk: &mut Talk,
    name: &str,
    data: &[u8],
) -> Outcome {
    let answer = talk.ask(scene, format!("get {name}\n"))?;
    if answer.is(data) {
        return Ok(());
    }
    let seen = format!(
        "to “get {name}”, a file of {} bytes: {}",
        data.len(),
        answer.told()
    );
    Err(match answer {
        Answer::Data(part) if part.len() < data.len() && data.starts_with(&part) => {
            END_MARKER.seen(seen)
        }
        _ => ANSWER.seen(seen),
    })
}

fn in_place(watch: &mut Watch, name: &str) -> Outcome {
    if watch.written().iter().any(|written| written == name) {
        let seen = format!("the file {name} was written to while it had that name");
        return Err(WRITTEN_IN_PLACE.seen(seen));
    }
    Ok(())
}

fn names(scene: &mut Scene) -> Outcome {
    let server = serve(scene)?;
    let here = std::env::current_dir().unwrap_or_default();
    let absolute = |name: &str| here.join(name).to_string_lossy().into_owned();
    let long = "n".repeat(256);
    let mut talk = Talk::new(scene, server)?;
    let (secret, planted) = (absolute("secret"), absolute("planted"));
    let bad = [
        "../secret",
        &secret,
        "sub/inner",
        "sub/../../secret",
        "./plain",
        "link",
        "sub",
        "fifo",
        "..",
        ".",
        ".hidden",
        "bell\x07",
        "none",
        "",
        &long,
    ];
    for name in bad {
        scene.say(talk.peer, format!("get {name}\n"));
        if name == "fifo" && talk.waits_in_open(scene, &format!("{FOLDER}/fifo"))? {
            return Err(NOT_A_FILE.hung(
                "to “get fifo”, which is a FIFO: there is no answer; the server waits in \
                 open(2) until somebody opens it for writing",
            ));
        }
        let answer = talk.hear(scene)?;
        let seen =
            format!("to {}: {}", quote(&format!("get {name}")), answer.told());
        match answer {
            Answer::Error(_) => {}
            Answer::Data(_) if name == "link" => {
                return Err(LINK_FOLLOWED.seen(seen));
            }
            Answer::Data(_) if name.contains('/') => {
                return Err(PATH_ESCAPES.seen(seen));
            }
            Answer::Data(_) if ["sub", "fifo"].contains(&name) => {
                return Err(NOT_A_FILE.seen(seen));
            }
            Answer::Data(_) => return Err(NAME_UNCHECKED.seen(seen)),
            _ => return Err(cut_short(scene, &talk, seen)),
        }
        let answer = talk.ask(scene, "get plain\n")?;
        if !answer.is(PLAIN) {
            let seen = format!(
                "{seen}. To the next request, “get plain”: {}",
                answer.told()
            );
            return Err(cut_short(scene, &talk, seen));
        }
    }
    let before = scene.entries(FOLDER)?;
    let bad = [
        "../planted",
        &planted,
        "sub/planted",
        "sub",
        ".planted",
        "bell\x07",
        "tab\t",
        "delete\x7f",
        "",
        &long,
    ];
    for name in bad {
        let answer = talk.ask(scene, put(name, b"get notes\n"))?;
        let request = quote(&format!("put 10 {name}"));
        let seen = format!("to {request}: {}", answer.told());
        let planted = std::fs::read("planted").is_ok();
        let after = scene.entries(FOLDER)?;
        if planted || after.get("sub") != before.get("sub") {
            return Err(
                PATH_ESCAPES.seen(format!("{seen}; there is a file “planted” now"))
            );
        }
        as_it_was(&before, &after, &request, &NAME_UNCHECKED)?;
        match answer {
            Answer::Error(_) => {}
            Answer::Data(_) => return Err(NAME_UNCHECKED.seen(seen)),
            _ => return Err(cut_short(scene, &talk, seen)),
        }
        let answer = talk.ask(scene, "get plain\n")?;
        if !answer.is(PLAIN) {
            let seen = format!(
                "{request} was refused. Its ten bytes were “get notes\\n”. To the \
                 next request, “get plain”: {}",
                answer.told()
            );
            return Err(match scene.end_of(talk.peer) {
                Some(_) => HANGS_UP.seen(seen),
                None => REFUSED_DATA_OBEYED.seen(seen),
            });
        }
    }
    let longest = "n".repeat(255);
    for name in ["a..b", "two words", " in front", "größe", "put 3 x", &longest] {
        let answer = talk.ask(scene, put(name, PLAIN))?;
        let back = talk.ask(scene, format!("get {name}\n"))?;
        if !answer.is(b"") || !back.is(PLAIN) {
            let begin: String = name.chars().take(20).collect();
            let seen = format!(
                "the name begins with “{begin}” and has {} bytes. To put: {}. To get: {}",
                name.len(),
                answer.told(),
                back.told()
            );
            return Err(GOOD_NAME_REFUSED.seen(seen));
        }
    }
    Ok(())
}

/// There is no answer.
fn cut_short(scene: &Scene, talk: &Talk, seen: String) -> Stop {
    match talk.is_over(scene) {
        true => {
            HANGS_UP.seen(format!("{seen}; the server has ended the connection"))
        }
        false => ANSWER.seen(format!("{seen}; {}", scene.doing_all())),
    }
}

/// The folder has not changed after this; if a name that can be seen has come, or its content has
/// changed, that is `changed`.
fn as_it_was(
    before: &Entries,
    after: &Entries,
    what: &str,
    changed: &Misconception,
) -> Outcome {
    let names: Vec<&String> = before.keys().chain(after.keys()).collect();
    let different =
        names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let (hidden, visible): (Vec<&String>, Vec<&String>) = different
        .partition(|name| name.starts_with('.') && !before.contains_key(*name));
    let told = |name: &String| match (before.get(name), after.get(name)) {
        (None, Some(now)) => {
            format!("{} is there, with {} bytes", quote(name), now.len())
        }
        (Some(_), None) => format!("{} is gone", quote(name)),
        _ => format!("{} has changed", quote(name)),
    };
    if let Some(name) = visible.first() {
        return Err(changed.seen(format!("after {what}: {}", told(name))));
    }
    match hidden.first() {
        // One that was asked for is no temporary one.
        Some(name) if what.contains(name.as_str()) => {
            Err(changed.seen(format!("after {what}: {}", told(name))))
        }
        Some(name) => {
            Err(LEAVES_TEMPORARY.seen(format!("after {what}: {}", told(name))))
        }
        None => Ok(()),
    }
}

fn cuts(scene: &mut Scene) -> Outcome {
    let server = serve(scene)?;
    let before = scene.entries(FOLDER)?;
    // Two that wait in the middle: one for a new file, one for a file that is there.
    let data = b"twenty bytes of data";
    let (new, old) = (put("broken", data), put("notes", data));
    let mut halves = Vec::new();
    for whole in [&new, &old] {
        let half = Talk::new(scene, server)?;
        scene.say(half.peer, &whole[..whole.len() - 10]);
        halves.push(half);
    }
    rest(scene, "two clients had sent half a file")?;
    let now = scene.entries(FOLDER)?;
    for name in ["broken", "notes"] {
        if now.get(name) != before.get(name) {
            let bytes = now.get(name).map_or(0, Vec::len);
            return Err(PARTIAL_VISIBLE.seen(format!(
                "of 20 bytes for {name} ten have been sent; the folder shows it with {bytes}"
            )));
        }
    }
    let mut other = Talk::new(scene, server)?;
    let answer = other.ask(scene, "list\n")?;
    let shown = answer.names().unwrap_or_default();
    if answer == Answer::None {
        let doing = scene.doing_all();
        return Err(ONE_AT_A_TIME.seen(format!(
            "two clients have sent half of a file, and a third is not answered: {doing}"
        )));
    }
    if shown != LISTED {
        return Err(PARTIAL_VISIBLE.seen(format!(
            "while two uploads are half done a list shows {}",
            quote(&shown.join(", "))
        )));
    }
    // Each connection is cut at another byte. All of them live at the same time.
    let mut cut = Vec::new();
    for at in 0..new.len() {
        let talk = Talk::new(scene, server)?;
        scene.say(talk.peer, &new[..at]);
        scene.shut(talk.peer);
        cut.push((at, talk));
    }
    for at in (0..old.len()).step_by(4) {
        let talk = Talk::new(scene, server)?;
        scene.say(talk.peer, &old[..at]);
        scene.wait_until_taken(talk.peer)?;
        scene.break_off(talk.peer);
    }
    scene.break_off(halves[0].peer);
    scene.shut(halves[1].peer);
    for (at, talk) in &cut {
        let ended = talk.has_ended(scene)?;
        goes_on(scene, "an upload that broke off")?;
        if scene.heard_text(talk.peer).starts_with("ok") {
            return Err(CUT_TAKEN_FOR_END.seen(format!(
                "of the {} bytes of a put only {at} were sent, and then the end; the server \
                 answers ok",
                new.len()
            )));
        }
        if !ended {
            let doing = scene.doing_all();
            let seen = format!(
                "a client has sent {at} bytes of a put and its end: {doing}"
            );
            return Err(NO_END.hung(seen));
        }
    }
    // A line without its end is no request, though it looks like one.
    for said in ["list", "get plain"] {
        let talk = Talk::new(scene, server)?;
        scene.say(talk.peer, said);
        scene.shut(talk.peer);
        let ended = talk.has_ended(scene)?;
        if !ended || scene.heard_text(talk.peer).starts_with("ok") {
            let heard = quote(&scene.heard_text(talk.peer));
            return Err(HALF_LINE_OBEYED.seen(format!(
                "“{said}” came without its “\\n”, and then the end: the server answers \
                 {heard}"
            )));
        }
    }
    rest(scene, "uploads that broke off")?;
    let what = format!("uploads that broke off after 0 to {} bytes", new.len() - 1);
    as_it_was(&before, &scene.entries(FOLDER)?, &what, &CUT_TAKEN_FOR_END)?;
    // And two that are whole.
    let mut watch = scene.watch(FOLDER)?;
    for (name, whole) in [("broken", &new), ("notes", &old)] {
        let answer = other.ask(scene, whole)?;
        if !answer.is(b"") {
            return Err(
                ANSWER.seen(format!("to “put 20 {name}”: {}", answer.told()))
            );
        }
        in_place(&mut watch, name)?;
    }
    let answer = other.ask(scene, put("link", b"through the link"))?;
    if std::fs::read("secret").ok().as_deref() != Some(SECRET) {
        return Err(LINK_FOLLOWED.seen(format!(
            "to “put 16 link”: {}; what it leads to has changed",
            answer.told()
        )));
    }
    Ok(())
}

fn at_once(scene: &mut Scene) -> Outcome {
    const CLIENTS: usize = 20;
    let server = serve(scene)?;
    let big = vec![b'b'; LARGEST];
    if std::fs::write(format!("{FOLDER}/big"), &big).is_err() {
        return Err(scene.cannot_tell("the files for the server cannot be made"));
    }
    // One reads nothing, one says nothing, one stops in a line and one in an upload.
    let mut slow =
        Talk { peer: scene.connect_with_buffers(server, Some(4096))?, at: 0 };
    scene.hold(slow.peer, true);
    scene.say(slow.peer, "get big\n");
    let mut quiet = Vec::new();
    for said in ["", "get pl", "put 20 half\nten bytes."] {
        let talk = Talk::new(scene, server)?;
        scene.say(talk.peer, said);
        quiet.push(talk);
    }
    rest(scene, "clients came that are slow, or say nothing")?;
    let mut all = Vec::new();
    for _ in 0..CLIENTS {
        all.push(Talk::new(scene, server)?);
    }
    for (number, talk) in all.iter_mut().enumerate().rev() {
        let answer = talk.ask(scene, "get plain\n")?;
        if !answer.is(PLAIN) {
            let seen = format!(
                "of {CLIENTS} clients, beside four that are slow, number {number} asks: {}; \
                 {} wait to be accepted; {}",
                answer.told(),
                scene.not_accepted(server),
                scene.doing_all()
            );
            return Err(match answer {
                Answer::None => ONE_AT_A_TIME.seen(seen),
                _ => ANSWER.seen(seen),
            });
        }
    }
    let answer = quiet[1].ask(scene, "ain\n")?;
    if !answer.is(PLAIN) {
        let seen = answer.told();
        return Err(
            SPLIT_REQUEST.seen(format!("“get plain” came in two pieces: {seen}"))
        );
    }
    two_of_one_name(scene, server)?;
    scene.hold(slow.peer, false);
    let answer = slow.hear(scene)?;
    if !answer.is(&big) {
        let heard = scene.heard(slow.peer).len();
        return Err(ANSWER.seen(format!(
            "a client that did not read for a while got {heard} bytes for a file of \
             {LARGEST}"
        )));
    }
    Ok(())
}

/// Two upload the same name; their pieces come in turn.
fn two_of_one_name(scene: &mut Scene, server: SocketAddr) -> Outcome {
    let data = [[b'1'; 2000], [b'2'; 2000]];
    let mut both = [Talk::new(scene, server)?, Talk::new(scene, server)?];
    for (talk, data) in both.iter().zip(&data) {
        let whole = put("same", data);
        scene.say(talk.peer, &whole[..whole.len() - 1000]);
        scene.wait_until_taken(talk.peer)?;
    }
    rest(scene, "two clients had sent half a file of the same name")?;
    for (number, talk) in both.iter_mut().enumerate() {
        let answer = talk.ask(scene, &data[number][..1000])?;
        let stored = scene.entries(FOLDER)?.remove("same").unwrap_or_default();
        if !answer.is(b"") || stored != data[number] {
            let own = stored.iter().filter(|&&byte| byte == data[number][0]).count();
            return Err(SHARED_TEMPORARY.seen(format!(
                "two clients put the same name, half and half in turn. To number {}: {}; of \
                 its 2000 bytes {own} are in the file, and {} others",
                number + 1,
                answer.told(),
                stored.len() - own
            )));
        }
    }
    Ok(())
}

fn lengths(scene: &mut Scene) -> Outcome {
    let server = serve(scene)?;
    scene.file(&format!("{FOLDER}/huge"), vec![b'h'; LARGEST + 1])?;
    let before = scene.entries(FOLDER)?;
    let mut talk = Talk::new(scene, server)?;
    let answer = talk.ask(scene, "get huge\n")?;
    if !matches!(answer, Answer::Error(_)) {
        let bytes = LARGEST + 1;
        let seen = answer.told();
        return Err(GIANT_LENGTH
            .seen(format!("to “get huge”, a file of {bytes} bytes: {seen}")));
    }
    for length in
        ["4294967296", "1048577", "18446744073709551615", "99999999999999999999999"]
    {
        let request = format!("put {length} giant\n");
        refused(scene, server, request.as_bytes(), &GIANT_LENGTH)?;
    }
    refused(scene, server, &[b'a'; 600], &ENDLESS_LINE)?;
    let nonsense = ["put ten x\n", "put -1 x\n", "put 5\n", "put\n", "\n", "LIST\n"];
    for request in nonsense {
        refused(scene, server, request.as_bytes(), &ANSWER)?;
    }
    refused(scene, server, b"put +5 x\n", &LENGTH_WITH_SIGN)?;
    refused(scene, server, b"list\r\n", &LINE_TRIMMED)?;
    // What these hear does not matter.
    let broken: [&[u8]; 4] =
        [b"\xff\xfe\xfd\n", b"get plain", b"\0\0\0\0", b"get plain\n"];
    for said in broken {
        for reset in [false, true] {
            let peer = connect(scene, server)?;
            scene.hold(peer, true);
            scene.say(peer, said);
            if reset {
                scene.break_off(peer);
            } else {
                scene.hang_up(peer);
            }
        }
    }
    rest(scene, "clients that broke off").map_err(|stop| as_end(scene, stop))?;
    // One reads a part of a large file and breaks off.
    let big = vec![b'm'; LARGEST];
    let mut talk = Talk::new(scene, server)?;
    let answer = talk.ask(scene, put("most", &big))?;
    if !answer.is(b"") {
        let seen = answer.told();
        return Err(
            ANSWER.seen(format!("a put of {LARGEST} bytes is allowed: {seen}"))
        );
    }
    let slow = scene.connect_with_buffers(server, Some(4096))?;
    scene.hold(slow, true);
    scene.say(slow, "get most\n");
    rest(scene, "a client that reads nothing")?;
    scene.break_off(slow);
    rest(scene, "a download was broken off").map_err(|stop| as_end(scene, stop))?;
    let mut talk = Talk::new(scene, server)?;
    comes_back(scene, &mut talk, "plain", PLAIN)?;
    let mut after = scene.entries(FOLDER)?;
    after.remove("most");
    as_it_was(&before, &after, "requests that were refused", &ANSWER)
}

/// That the server has ended is said in the words of this exercise.
fn as_end(scene: &Scene, stop: Stop) -> Stop {
    if scene.exit().is_some() { ENDS.same_as(&stop) } else { stop }
}

/// A request that cannot be followed by another one: it is answered, and the connection ends.
fn refused(
    scene: &mut Scene,
    server: SocketAddr,
    request: &[u8],
    otherwise: &Misconception,
) -> Outcome {
    let mut talk = Talk::new(scene, server)?;
    let heard = talk.ask(scene, request);
    // A program that is ended by an allocation, or panics, has ended because of this.
    let answer = heard.map_err(|stop| otherwise.same_as(&stop))?;
    let error = matches!(answer, Answer::Error(_));
    if error && talk.has_ended(scene)? {
        scene.shut(talk.peer);
        return Ok(());
    }
    let state = match scene.end_of(talk.peer) {
        Some(End::Fin) => "the connection has ended",
        Some(End::Reset) => "the connection was broken off",
        None => "the connection is still open",
    };
    let text = String::from_utf8_lossy(request);
    let (bytes, seen) = (request.len(), answer.told());
    let request = match text.strip_suffix('\n') {
        Some(line) => quote(line),
        None => format!("{bytes} bytes without an end of the line"),
    };
    Err(otherwise
        .seen(format!("to {request}: {seen}; {state}; {}", scene.doing_all())))
}

/// Starts the client with this command. What comes to its server is `request`.
fn client(
    scene: &mut Scene,
    command: &[&str],
    request: &[u8],
) -> Result<Peer, Stop> {
    let (port, address) = scene.listen()?;
    scene.start(&[&[address.to_string().as_str()], command].concat())?;
    let what = quote(&command.join(" "));
    let Some(peer) = scene.wait_for_arrival(port)? else {
        let seen = scene.so_far(&format!("the start with {what}"));
        return Err(REQUEST.seen(match scene.last_words() {
            words if words.is_empty() => seen,
            words => format!("{seen}: {words}"),
        }));
    };
    scene.wait_to_hear(peer, request.len())?;
    let heard = scene.heard(peer);
    if heard != request {
        let (wanted, heard) =
            (String::from_utf8_lossy(request), String::from_utf8_lossy(heard));
        let (wanted, heard) = (quote(&wanted), quote(&heard));
        return Err(
            REQUEST.seen(format!("for {what} it sent {heard} instead of {wanted}"))
        );
    }
    Ok(peer)
}

/// Waits for the client's end. The connection stays open, unless the client has sent its own end.
fn wait_for_end(scene: &mut Scene, peer: Peer) -> Result<Settled, Stop> {
    let settled = scene.wait(|scene| scene.exit().is_some())?;
    if settled == Settled::Blocked && scene.end_of(peer).is_some() {
        scene.shut(peer);
        return scene.wait(|scene| scene.exit().is_some());
    }
    Ok(settled)
}

/// The answer is there, and the connection stays open. The client must end, with 0.
fn ends_with(
    scene: &mut Scene,
    peer: Peer,
    what: &str,
    printed: &str,
    otherwise: &Misconception,
) -> Outcome {
    let settled = wait_for_end(scene, peer)?;
    let doing = scene.doing_all();
    if settled == Settled::Blocked {
        // Does the end help it?
        scene.shut(peer);
        scene.wait(|scene| scene.exit().is_some())?;
    }
    let done = scene.exit() == Some(Exit::Code(0)) && scene.out() == printed;
    let seen = format!("all of the answer to {what} was sent: {doing}");
    match settled {
        Settled::Blocked if done => Err(READS_TO_THE_END.hung(seen)),
        Settled::Blocked => Err(LOSES_THE_REST.hung(seen)),
        _ if done => Ok(()),
        _ => {
            let so_far = scene.so_far(&format!("a complete answer to {what}"));
            let words = scene.last_words();
            Err(otherwise.seen(match words.as_str() {
                "" => so_far,
                words => format!("{so_far}: {words}"),
            }))
        }
    }
}

fn client_asks(scene: &mut Scene) -> Outcome {
    let peer = client(scene, &["list"], b"list\n")?;
    scene.say(peer, "ok 18\nnotes\ntwo words\nx\n");
    ends_with(scene, peer, "“list”", "notes\ntwo words\nx\n", &OUTPUT)?;
    let peer = client(scene, &["list"], b"list\n")?;
    scene.say(peer, "ok 0\n");
    ends_with(scene, peer, "“list” of an empty folder", "", &OUTPUT)?;
    let peer = client(scene, &["get", "plain"], b"get plain\n")?;
    scene.say(peer, "ok 12\nplain words\n");
    ends_with(scene, peer, "“get”", "got 12 bytes\n", &OUTPUT)?;
    stored(scene, "plain", PLAIN)?;
    let peer = client(scene, &["get", "slow"], b"get slow\n")?;
    for byte in b"ok 12\nplain words\n" {
        scene.say(peer, [*byte]);
        scene.wait_until_taken(peer)?;
    }
    ends_with(scene, peer, "“get”, byte by byte", "got 12 bytes\n", &SPLIT_ANSWER)?;
    stored(scene, "slow", PLAIN)?;
    let got = format!("got {} bytes\n", MARKERS.len());
    let answer = [format!("ok {}\n", MARKERS.len()).as_bytes(), MARKERS].concat();
    let peer = client(scene, &["get", "two words"], b"get two words\n")?;
    let mut watch = scene.watch(".")?;
    // Half of it: nothing is to be seen.
    let (first, second) = answer.split_at(answer.len() / 2);
    scene.say(peer, first);
    scene.settle()?;
    if scene.entries(".")?.contains_key("two words") {
        return Err(PARTIAL_VISIBLE.seen(format!(
            "of a download of {} bytes the second half has not come yet, and its name is there",
            MARKERS.len()
        )));
    }
    scene.say(peer, second);
    ends_with(scene, peer, "“get”", &got, &OUTPUT)?;
    stored(scene, "two words", MARKERS)?;
    in_place(&mut watch, "two words")?;
    let peer = client(scene, &["get", "nothing"], b"get nothing\n")?;
    scene.say(peer, "ok 0\n");
    ends_with(scene, peer, "“get” of an empty file", "got 0 bytes\n", &OUTPUT)?;
    stored(scene, "nothing", b"")?;
    let longest = "n".repeat(255);
    let request = format!("get {longest}\n");
    let peer = client(scene, &["get", &longest], request.as_bytes())?;
    scene.say(peer, "ok 12\nplain words\n");
    let what = "“get” of a name of 255 bytes";
    ends_with(scene, peer, what, "got 12 bytes\n", &GOOD_NAME_REFUSED)?;
    stored(scene, &longest, PLAIN)?;
    let peer = client(scene, &["put", "two words"], &put("two words", MARKERS))?;
    scene.settle()?;
    if scene.exit().is_some() || !scene.out().is_empty() {
        let seen = scene.so_far("a put that the server has not answered yet");
        return Err(UNCONFIRMED.seen(seen));
    }
    scene.say(peer, "ok 0\n");
    let printed = format!("put {} bytes\n", MARKERS.len());
    ends_with(scene, peer, "“put”", &printed, &OUTPUT)
}

fn stored(scene: &Scene, name: &str, data: &[u8]) -> Outcome {
    let entries = scene.entries(".")?;
    match entries.get(name) {
        Some(own) if own == data => Ok(()),
        own => {
            let there = own.map_or("is not there".to_owned(), |own| {
                format!("has {}", own.len())
            });
            let bytes = data.len();
            let seen = format!(
                "a file of {bytes} bytes was got; in the working folder it {there}"
            );
            Err(match own {
                Some(own) if own.len() < bytes && data.starts_with(own) => {
                    END_MARKER.seen(seen)
                }
                _ => OUTPUT.seen(seen),
            })
        }
    }
}

/// The client has heard this, and perhaps the end. It must not take it for success.
fn fails(
    scene: &mut Scene,
    peer: Peer,
    before: &Entries,
    what: &str,
    taken: &Misconception,
) -> Outcome {
    let settled = wait_for_end(scene, peer);
    failed(scene, settled, before, what, taken)
}

/// The client has ended, and says that it has not worked.
fn failed(
    scene: &mut Scene,
    settled: Result<Settled, Stop>,
    before: &Entries,
    what: &str,
    taken: &Misconception,
) -> Outcome {
    // That it panics, or is ended by an allocation, is no way to say it.
    if settled.map_err(|stop| taken.same_as(&stop))? == Settled::Blocked {
        let doing = scene.doing_all();
        return Err(taken.hung(format!("after {what} the client waits: {doing}")));
    }
    if scene.exit() == Some(Exit::Code(0)) || !scene.out().is_empty() {
        return Err(taken.seen(scene.so_far(what)));
    }
    as_it_was(before, &scene.entries(".")?, what, &PART_STORED)
}

fn client_cut(scene: &mut Scene) -> Outcome {
    scene.file("mine", "what was there before\n")?;
    let before = scene.entries(".")?;
    for name in ["mine", "new"] {
        let request = format!("get {name}\n");
        for said in ["ok 10\n123456789", "ok 10\n", "ok 0", "o", ""] {
            let peer = client(scene, &["get", name], request.as_bytes())?;
            scene.say(peer, said);
            scene.shut(peer);
            let what = format!("{} and its end", quote(said));
            fails(scene, peer, &before, &what, &BROKEN_TAKEN_FOR_WHOLE)?;
        }
    }
    let peer = client(scene, &["get", "mine"], b"get mine\n")?;
    scene.say(peer, "ok 10\n12345");
    scene.wait_until_taken(peer)?;
    scene.break_off(peer);
    fails(scene, peer, &before, "half a file and a reset", &BROKEN_TAKEN_FOR_WHOLE)?;
    let peer = client(scene, &["list"], b"list\n")?;
    scene.say(peer, "ok 18\nnotes\n");
    scene.shut(peer);
    fails(
        scene,
        peer,
        &before,
        "a third of a list and its end",
        &BROKEN_TAKEN_FOR_WHOLE,
    )?;
    let whole = put("mine", b"what was there before\n");
    for said in ["", "ok 0"] {
        let peer = client(scene, &["put", "mine"], &whole)?;
        scene.say(peer, said);
        scene.shut(peer);
        let what = format!("{} and its end, to a put", quote(said));
        fails(scene, peer, &before, &what, &UNCONFIRMED)?;
    }
    Ok(())
}

fn client_told_nonsense(scene: &mut Scene) -> Outcome {
    scene.file("mine", "what was there before\n")?;
    let before = scene.entries(".")?;
    let whole = put("mine", b"what was there before\n");
    let commands: [(&[&str], &[u8]); 3] = [
        (&["get", "mine"], b"get mine\n"),
        (&["put", "mine"], &whole),
        (&["list"], b"list\n"),
    ];
    for (command, request) in commands {
        let peer = client(scene, command, request)?;
        scene.say(peer, "error 7 of 9 disks are full\n");
        let what = format!("“error 7 of 9 disks are full” to {}", quote(command[0]));
        fails(scene, peer, &before, &what, &REFUSAL_UNSEEN)?;
    }
    for length in
        ["4294967296", "1048577", "18446744073709551615", "99999999999999999999999"]
    {
        let peer = client(scene, &["get", "mine"], b"get mine\n")?;
        scene.say(peer, format!("ok {length}\n"));
        fails(scene, peer, &before, &format!("“ok {length}”"), &GIANT_LENGTH)?;
    }
    let peer = client(scene, &["get", "mine"], b"get mine\n")?;
    scene.say(peer, "ok +5\nhello");
    fails(scene, peer, &before, "“ok +5\\nhello”", &LENGTH_WITH_SIGN)?;
    let peer = client(scene, &["put", "mine"], &whole)?;
    scene.say(peer, "ok 5\nhello");
    fails(scene, peer, &before, "“ok 5\\nhello” to a put", &UNCONFIRMED)?;
    for names in ["notes\nlast", "notes\r\n", "notes\n\x1b[2J\n", "../notes\n"] {
        let peer = client(scene, &["list"], b"list\n")?;
        let said = format!("ok {}\n{names}", names.len());
        scene.say(peer, &said);
        let what = format!("{} to “list”", quote(&said));
        fails(scene, peer, &before, &what, &LIST_UNCHECKED)?;
    }
    let long = "a".repeat(600);
    for said in ["ok ten\n", "ok -1\n", "ok\n", "fine 5\nhello", "\n", &long] {
        let peer = client(scene, &["get", "mine"], b"get mine\n")?;
        scene.say(peer, said);
        let taken = if said == long { &ENDLESS_LINE } else { &REFUSAL_UNSEEN };
        fails(scene, peer, &before, &quote(said), taken)?;
    }
    // The last one has 128 characters, and 256 bytes.
    for name in ["a\nlist", "a/b", ".mine", "", "bell\x07", &"ö".repeat(128)] {
        for command in ["get", "put"] {
            let (port, address) = scene.listen()?;
            scene.start(&[&address.to_string(), command, name])?;
            let settled = scene.wait(|scene| {
                let said = |peer: &Peer| !scene.heard(*peer).is_empty();
                scene.exit().is_some() || scene.arrivals(port).iter().any(said)
            });
            let peers = scene.arrivals(port).into_iter();
            let said: String = peers.map(|peer| scene.heard_text(peer)).collect();
            let what = quote(&format!("{command} {name}"));
            if !said.is_empty() {
                let seen = format!("with {what} it sent {}", quote(&said));
                return Err(NAME_INJECTED.seen(seen));
            }
            failed(scene, settled, &before, &what, &NAME_INJECTED)?;
        }
    }
    let peer = client(scene, &["get", "new"], b"get new\n")?;
    scene.say(peer, "ok 5\n1234567890");
    scene.wait(|scene| scene.exit().is_some())?;
    let new = scene.entries(".")?.remove("new");
    if new.as_ref().is_some_and(|new| new != b"12345") {
        let bytes = new.map_or(0, |new| new.len());
        return Err(TAKES_TOO_MUCH.seen(format!(
            "the answer was “ok 5” and ten bytes; {bytes} of them are in the file"
        )));
    }
    Ok(())
}
