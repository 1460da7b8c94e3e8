use super::http::{Answer, Client};
use super::servers::{
    NO_END, ends, rest_or_wait, start, start_with_clients_that, waits_in_open,
    where_it_waits,
};
use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Scene, Stop, quote};
use lessons::net::State;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub const EXERCISE: Exercise = Exercise {
    name: "exercise22",
    title: "An HTTP/1.1 file server",
    lesson: "47_http_server",
    hints: &[
        "TCP carries bytes. What is a request, then? All up to the first empty line, \
         in however many reads it comes; and what comes behind that line in the same \
         read is the beginning of the next request. Which buffer lives as long as \
         the connection?",
        "One thread a client: `BufReader::new(&stream)` once, then a loop: read lines \
         until an empty one, take them apart, answer, next. Nothing means that the \
         client has ended; an error ends this loop and no other. `take(16384)` \
         limits what a head may have.",
        "Each answer: the first line, Content-Length, an empty line, the body; for \
         HEAD the same without the body. Where the next request begins is not known \
         after a 400, nor after a body that was not read: say so and end.",
        "A name decides nothing before the kernel has followed it. Decode it, open it \
         below the folder (`Path::join` forgets the folder if the name begins with a \
         slash), and ask then where that file is: canonicalize, or read_link of \
         /proc/self/fd/N, compared by `Path::starts_with`; or let openat2(2) do it \
         with RESOLVE_BENEATH. Is it a regular file (metadata)? A FIFO is not, and \
         to open it can wait: O_NONBLOCK.",
    ],
    cases: &[
        Case::new("files over one connection", files),
        Case::new("requests in pieces", pieces),
        Case::new("HEAD, and other methods", methods),
        Case::new("names that are no files", names),
        Case::new("fields, and what is no request", no_requests),
        Case::new("several clients", several_clients),
        Case::new("clients that break off", break_off),
    ],
};

const NO_ANSWER: Misconception = Misconception {
    name: "no-answer",
    expected: "each request is answered",
    why: "Whatever is wrong with a request, or with the file: the client waits for an \
          answer and can do something with the status. It can do nothing with the \
          end of a connection.",
    lesson: "47_http_server",
};

const WRONG_STATUS: Misconception = Misconception {
    name: "wrong-status",
    expected: "the status says what has become of the request: 200, 400, 404, 405",
    why: "People read the body; programs read the status. A page that says *not \
          found* under 200 is a file for a browser, and is kept as one.",
    lesson: "47_http_server",
};

const NOT_THE_BYTES: Misconception = Misconception {
    name: "not-the-bytes",
    expected: "the body of an answer is the file, byte for byte",
    why: "A file is bytes, not text: an image is no UTF-8, and the end of a line is \
          as it is. Content-Length counts bytes, too, not characters.",
    lesson: "47_http_server",
};

const NOT_DECODED: Misconception = Misconception {
    name: "not-decoded",
    expected: "`%20` in a target stands for a blank: decoded once, and no more",
    why: "Not all bytes may stand in a target, so each can be written as a percent \
          sign and two digits (RFC 3986, section 2.1); the percent sign itself as \
          %25. Who decodes twice turns a%2520b, the file `a%20b`, into `a b`. A plus \
          is a plus: it stands for a blank in the forms of web pages only.",
    lesson: "47_http_server",
};

const NAME_AS_TEXT: Misconception = Misconception {
    name: "name-as-text",
    expected: "`/%FF` is the file whose name is the one byte 0xff",
    why: "To Linux a name is bytes, and they need not be UTF-8. from_utf8_lossy puts \
          the character U+FFFD in place of what is no text, and that is another name. \
          OsStr::from_bytes takes the bytes as they are.",
    lesson: "47_http_server",
};

const FORGETS_AT_END: Misconception = Misconception {
    name: "forgets-at-the-end",
    expected: "a request is answered, also if the client's end has come behind it",
    why: "A read of 0 says that the client sends no more. It reads on: shutdown(2) \
          closes one direction only. What has come before the end is a request like \
          any other; so answer first, and then close.",
    lesson: "29_shutdown",
};

const CLOSES_AFTER_ONE: Misconception = Misconception {
    name: "closes-after-one",
    expected: "the connection stays open for the next request",
    why: "In HTTP/1.1 it ends only if one side has said `Connection: close`. A page \
          with fifty pictures would need fifty connections, each of which begins \
          with a handshake.",
    lesson: "47_http_server",
};

const ONE_READ: Misconception = Misconception {
    name: "one-read-one-request",
    expected: "a request is whole when its empty line has come, in however many reads",
    why: "A read gives what has arrived so far. That may be a part of a request, even \
          of its first word, or of the four bytes of the empty line.",
    lesson: "28_stream",
};

const LOSES_NEXT: Misconception = Misconception {
    name: "loses-the-next",
    expected: "requests that come together are answered one after the other",
    why: "The read that brings the end of a request may bring the beginning of the \
          next as well. It is in the buffer then, and never comes again: who begins \
          the next request with an empty buffer, or a new BufReader, has lost it.",
    lesson: "28_stream",
};

const HEAD_WITH_BODY: Misconception = Misconception {
    name: "head-with-body",
    expected: "HEAD is answered with the head alone",
    why: "The client knows that no body follows, whatever Content-Length says. It \
          takes the bytes of a body for the answer to its next request (RFC 9110, \
          section 9.3.2).",
    lesson: "47_http_server",
};

const HEAD_DIFFERS: Misconception = Misconception {
    name: "head-differs",
    expected: "HEAD tells what GET would: the same status and Content-Length",
    why: "Who asks with HEAD wants to know how long the file is without getting it. \
          Content-Length is that of the body which GET would have; that none is \
          sent does not make it 0.",
    lesson: "47_http_server",
};

const NO_ALLOW: Misconception = Misconception {
    name: "no-allow",
    expected: "405 comes with `Allow: GET, HEAD`",
    why: "To say that a method is not allowed is half of the answer; the other half is \
          which are (RFC 9110, section 15.5.6).",
    lesson: "47_http_server",
};

const BODY_AS_REQUEST: Misconception = Misconception {
    name: "body-as-request",
    expected: "the body of a request is no request",
    why: "A request with Content-Length goes on behind its empty line. Who does not \
          want those bytes has to read over them, or to end the connection. A \
          stranger can put a request into a body that others are blamed for: request \
          smuggling (RFC 9112, section 11.2).",
    lesson: "47_http_server",
};

const LEADS_OUT_BY_DOTS: Misconception = Misconception {
    name: "leads-out-by-dots",
    expected: "no name leads out of the folder",
    why: "`..` in a name goes up, at the top of the folder as well: the kernel does not \
          know that it is the top. Browsers never send that; an attacker does.",
    lesson: "47_http_server",
};

const LEADS_OUT_ENCODED: Misconception = Misconception {
    name: "leads-out-encoded",
    expected: "no name leads out of the folder, in disguise or not",
    why: "%2e is a point and %2f a slash. What was looked at was not yet the name that \
          was opened. First decode, then look.",
    lesson: "47_http_server",
};

const LEADS_OUT_BY_SLASH: Misconception = Misconception {
    name: "leads-out-by-slash",
    expected: "a name that begins with a slash is looked for below the folder, too",
    why: "`Path::join` with an absolute path forgets what it was to be joined to. After \
          the slash of the target another one may come.",
    lesson: "47_http_server",
};

const LEADS_OUT_BY_LINK: Misconception = Misconception {
    name: "leads-out-by-link",
    expected: "a link that leads out of the folder is not followed",
    why: "There is no point in that name to be found. Only the kernel knows where a \
          name ends, when it has followed it: ask it where the file is, or let it \
          refuse (RESOLVE_BENEATH of openat2(2)).",
    lesson: "47_http_server",
};

const PREFIX_OF_A_NAME: Misconception = Misconception {
    name: "prefix-of-a-name",
    expected: "`site-private` does not lie in `site`",
    why: "As text the one begins with the other; as paths they are neighbours. Compare \
          component by component, as `Path::starts_with` does.",
    lesson: "47_http_server",
};

const NOT_A_FILE: Misconception = Misconception {
    name: "not-a-file",
    expected: "what is no regular file is answered with 404",
    why: "A folder can be opened, and cannot be read; to open a FIFO, or to read from \
          it, waits for somebody who writes. Open with O_NONBLOCK and look at what was \
          opened, or look before you open it.",
    lesson: "47_http_server",
};

const ACCEPTS_ANYTHING: Misconception = Misconception {
    name: "accepts-anything",
    expected: "what is no request is answered with 400",
    why: "Who guesses what was meant will guess in another way than the next server \
          on the way. Three words with one blank between them, the third of them \
          HTTP/1.1; then lines with a colon.",
    lesson: "47_http_server",
};

const NO_HOST: Misconception = Misconception {
    name: "host-not-asked-for",
    expected: "a request of HTTP/1.1 without Host is answered with 400",
    why: "Many sites share one address; Host says which one is meant. RFC 9112, \
          section 3.2, wants a server to refuse a request that does not say it.",
    lesson: "47_http_server",
};

const GOES_ON: Misconception = Misconception {
    name: "goes-on-after-400",
    expected: "after 400 the connection ends",
    why: "What was not understood may have had a body, or not; nobody can say where \
          the next request begins. To guess is how requests are smuggled.",
    lesson: "47_http_server",
};

const BLANKS_COUNT: Misconception = Misconception {
    name: "blanks-count",
    expected: "`Host:localhost` and `Host: \\t localhost \\t` are served like \
               `Host: localhost`",
    why: "Most clients write one blank behind the colon, but it is no part of the field. \
          Part the line at the colon, and take blanks and tabs off both ends of the \
          value (RFC 9112, section 5).",
    lesson: "47_http_server",
};

const NAMES_HAVE_CASE: Misconception = Misconception {
    name: "names-have-case",
    expected: "`hOST` and `CONNECTION` are Host and Connection",
    why: "The case of a field's name does not matter (RFC 9110, section 5.1), and \
          clients do make use of that: some send all names in small letters.",
    lesson: "47_http_server",
};

const IGNORES_CLOSE: Misconception = Misconception {
    name: "ignores-close",
    expected: "after a request with `Connection: close` and its answer the connection \
               ends",
    why: "The client says that this was its last request, and waits for the end of \
          the connection.",
    lesson: "47_http_server",
};

const SMALL_BUFFER: Misconception = Misconception {
    name: "small-buffer",
    expected: "a request with a head of 8000 bytes is served",
    why: "Cookies and long targets are usual. RFC 9112, section 3, asks for 8000 bytes \
          for the first line alone.",
    lesson: "47_http_server",
};

const NO_LIMIT: Misconception = Misconception {
    name: "no-limit",
    expected: "a head that never ends is not read for ever",
    why: "Whatever a stranger may decide needs a limit: else one client can fill the \
          memory with a line that has no end, or with lines that are never the last. \
          A limit for each line is none for their number.",
    lesson: "47_http_server",
};

const ONE_AT_A_TIME: Misconception = Misconception {
    name: "one-at-a-time",
    expected: "a client does not wait for another one",
    why: "A client that says nothing, that says half a request, or that does not read \
          its answer: each of them can hold up whoever serves it, for ever. If that \
          is the one who serves all, all wait.",
    lesson: "39_thread_server",
};

const HELLO: &str = "hello\n";
const PAGE: &str = "<!DOCTYPE html>\n<p>Grüße, 你好\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
const BYTES: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff\xfe\r\n\r\n\xc3\x28\n\n\0";
const SECRET: &str = "nobody may read this\n";
/// More than the buffers of a connection hold.
const LARGE: usize = 6 << 20;

/// The files of the server in a folder, and beside it what is not for others.
fn site(scene: &mut Scene) -> Outcome {
    for folder in ["site", "site/sub", "site-private"] {
        scene.folder(folder)?;
    }
    scene.file("site/hello.txt", HELLO)?;
    scene.file("site/empty", "")?;
    scene.file("site/sub/page.html", PAGE)?;
    scene.file("site/image", BYTES)?;
    scene.file("site/a b", "with a blank\n")?;
    scene.file("site/a%20b", "with a percent sign\n")?;
    scene.file("site/a+b", "with a plus\n")?;
    scene.file("secret", SECRET)?;
    scene.file("site-private/secret", SECRET)?;
    scene.link("../secret", "site/link")
}

fn large(scene: &mut Scene) -> Result<Vec<u8>, Stop> {
    let lines: String = (0..1 << 16).map(|n| format!("{n:15}\n")).collect();
    let content = lines.repeat(LARGE / lines.len()).into_bytes();
    scene.file("site/large", &content)?;
    Ok(content)
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn files(scene: &mut Scene) -> Outcome {
    site(scene)?;
    let server = start(scene, &["site"])?;
    let mut client = Client::connect(scene, server)?;
    let mut missing = &NO_ANSWER;
    for (target, content, other) in [
        ("/hello.txt", HELLO.as_bytes(), &NOT_THE_BYTES),
        ("/sub/page.html", PAGE.as_bytes(), &NOT_THE_BYTES),
        ("/empty", b"", &NOT_THE_BYTES),
        ("/image", BYTES, &NOT_THE_BYTES),
        ("/a%20b", b"with a blank\n", &NOT_DECODED),
        ("/a%2520b", b"with a percent sign\n", &NOT_DECODED),
        ("/a+b", b"with a plus\n", &NOT_DECODED),
        ("/%FF", b"no text\n", &NAME_AS_TEXT),
    ] {
        if target == "/%FF" {
            let name = Path::new("site").join(OsStr::from_bytes(b"\xff"));
            // Some file systems have no such names.
            if std::fs::write(name, content).is_err() {
                continue;
            }
        }
        let answer = client.ask(scene, &get(target), missing)?;
        missing = &CLOSES_AFTER_ONE;
        expect_file(scene, &client, target, &answer, content, other)?;
    }
    let answer = client.ask(scene, &get("/none"), &NO_ANSWER)?;
    expect_status("/none, which is not there", &answer, 404)?;
    let answer = client.ask(scene, &get("/hello.txt"), &CLOSES_AFTER_ONE)?;
    expect_hello(scene, &client, &answer)?;
    rest_or_wait(scene, "a client has its files and says no more")?;
    nothing_more(scene, &client)?;
    scene.shut(client.peer);
    client.wait_for_end(scene, "a client has sent its end", &NO_END)?;
    rest_or_wait(scene, "a client left")?;
    no_connection_is_left(scene, "a client left")
}

fn pieces(scene: &mut Scene) -> Outcome {
    site(scene)?;
    let request = get("/hello.txt");
    let (server, peers) =
        start_with_clients_that(scene, &["site"], 1, |scene, peer| {
            scene.say(peer, &request);
            scene.shut(peer);
        })?;
    let mut early = Client::from(server, peers[0]);
    let answer = early.answer(scene, &request, &FORGETS_AT_END)?;
    expect_hello(scene, &early, &answer)?;
    early.wait_for_end(
        scene,
        "a request, its answer and a client's end",
        &NO_END,
    )?;
    let mut client = Client::connect(scene, server)?;
    for byte in request.bytes() {
        scene.say(client.peer, [byte]);
        scene.wait(|s| s.untaken(client.peer) == 0 || client.has_ended(s))?;
    }
    let answer = client.answer(scene, &request, &ONE_READ)?;
    if answer.status != 200 || answer.body != HELLO.as_bytes() {
        let (status, request) = (answer.status, quote(&request));
        return Err(ONE_READ.seen(format!(
            "the request {request}, byte by byte, is answered {status}"
        )));
    }
    let all =
        [get("/hello.txt"), get("/sub/page.html"), get("/none"), get("/empty")];
    let contents = [HELLO, PAGE, "", ""];
    let (first, second) = all[3].split_at(9);
    scene.say(client.peer, all[..3].concat() + first);
    for (index, (request, content)) in all.iter().zip(contents).enumerate() {
        if index == 3 {
            scene.say(client.peer, second);
        }
        let answer = client.answer(scene, request, &LOSES_NEXT)?;
        let found = answer.status == 200 && answer.body == content.as_bytes();
        if !found && (index, answer.status) != (2, 404) {
            return Err(LOSES_NEXT.seen(format!(
                "of four requests that came together number {} ({}) is answered {} with {}",
                index + 1,
                quote(request),
                answer.status,
                quote(&String::from_utf8_lossy(&answer.body))
            )));
        }
    }
    rest_or_wait(scene, "five requests")?;
    nothing_more(scene, &client)
}

fn methods(scene: &mut Scene) -> Outcome {
    site(scene)?;
    let server = start(scene, &["site"])?;
    let mut client = Client::connect(scene, server)?;
    for (target, status, length) in
        [("/hello.txt", 200, Some(HELLO.len())), ("/none", 404, None)]
    {
        let request = get(target).replace("GET", "HEAD");
        let answer = client.ask(scene, &request, &NO_ANSWER)?;
        rest_or_wait(scene, "a request with HEAD")?;
        let more = client.unread(scene);
        if !more.is_empty() {
            return Err(HEAD_WITH_BODY.seen(format!(
                "after the head of the answer to HEAD {target} came {}",
                quote(&String::from_utf8_lossy(more))
            )));
        }
        if answer.status != status || length.is_some_and(|n| n != answer.length) {
            return Err(HEAD_DIFFERS.seen(format!(
                "HEAD {target}: status {}, Content-Length {}",
                answer.status, answer.length
            )));
        }
    }
    let answer = client.ask(scene, &get("/hello.txt"), &CLOSES_AFTER_ONE)?;
    expect_hello(scene, &client, &answer)?;
    scene.shut(client.peer);
    let hidden = get("/sub/page.html");
    for (method, body) in [("POST", ""), ("POST", &hidden), ("GET", &hidden)] {
        let request = format!(
            "{method} /hello.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n\
             {body}",
            body.len()
        );
        let mut client = Client::connect(scene, server)?;
        let answer = client.ask(scene, &request, &NO_ANSWER)?;
        if method == "GET" {
            expect_hello(scene, &client, &answer)?;
        } else {
            is_not_allowed(&answer)?;
        }
        rest_or_wait(scene, &format!("a request with {method}"))?;
        let more = String::from_utf8_lossy(client.unread(scene)).into_owned();
        if !more.is_empty() {
            return Err(BODY_AS_REQUEST.seen(format!(
                "after the answer to {} came {}",
                quote(&request),
                quote(&more)
            )));
        }
        // After a body it may have ended.
        if body.is_empty() || !client.has_ended(scene) {
            let missing =
                if body.is_empty() { &CLOSES_AFTER_ONE } else { &BODY_AS_REQUEST };
            let answer = client.ask(scene, &get("/hello.txt"), missing)?;
            if answer.body != HELLO.as_bytes() {
                return Err(BODY_AS_REQUEST.seen(format!(
                    "the request after {} is answered {}",
                    quote(&request),
                    answer.status
                )));
            }
        }
        scene.shut(client.peer);
    }
    Ok(())
}

/// The answer to POST.
fn is_not_allowed(answer: &Answer) -> Outcome {
    expect_status("POST", answer, 405)?;
    let allow = answer.field("allow").unwrap_or_default().to_owned();
    let mut allowed = allow.split(',').map(str::trim);
    if !["GET", "HEAD"].iter().all(|&m| allowed.clone().any(|a| a == m))
        || allowed.any(|a| a == "POST")
    {
        return Err(NO_ALLOW.seen(format!("405 with Allow: {}", quote(&allow))));
    }
    Ok(())
}

fn names(scene: &mut Scene) -> Outcome {
    site(scene)?;
    // Nobody has it open.
    drop(scene.gate("site/fifo")?);
    let absolute = format!("/{}", scene.absolute("secret"));
    let encoded = format!("/{}", scene.absolute("secret").replace('/', "%2f"));
    let server = start(scene, &["site"])?;
    for (target, leads_out) in [
        ("/../secret", &LEADS_OUT_BY_DOTS),
        ("/sub/../../secret", &LEADS_OUT_BY_DOTS),
        ("/%2e%2e/secret", &LEADS_OUT_ENCODED),
        ("/..%2fsecret", &LEADS_OUT_ENCODED),
        ("/sub%2F%2E.%2f.%2e/secret", &LEADS_OUT_ENCODED),
        (&absolute, &LEADS_OUT_BY_SLASH),
        (&encoded, &LEADS_OUT_BY_SLASH),
        ("/link", &LEADS_OUT_BY_LINK),
        ("/../site-private/secret", &PREFIX_OF_A_NAME),
        ("/%2e./site-private/secret", &PREFIX_OF_A_NAME),
        // No file has such a name; a string of C would end at the zero.
        ("/hello.txt%00.html", &NOT_A_FILE),
        ("/hello.txt%zz", &NOT_DECODED),
        ("/hello.txt%2", &NOT_DECODED),
    ] {
        let mut client = Client::connect(scene, server)?;
        let answer = client.ask(scene, &get(target), &NO_ANSWER)?;
        if answer.status == 200 || answer.body == SECRET.as_bytes() {
            return Err(leads_out.seen(format!(
                "`GET {target}` is answered {} with {}",
                answer.status,
                quote(&String::from_utf8_lossy(&answer.body))
            )));
        }
        if ![400, 403, 404].contains(&answer.status) {
            expect_status(target, &answer, 404)?;
        }
        scene.shut(client.peer);
    }
    for (target, what) in
        [("/", "the folder itself"), ("/sub", "a folder"), ("/fifo", "a FIFO")]
    {
        let mut client = Client::connect(scene, server)?;
        scene.say(client.peer, get(target));
        let mut waits = false;
        scene.wait_with_patience(|scene| {
            waits = target == "/fifo" && waits_in_open(scene, "site/fifo");
            waits || !client.unread(scene).is_empty() || client.has_ended(scene)
        })?;
        if waits {
            return Err(NOT_A_FILE.hung(format!(
                "to `GET {target}`, {what}, nothing came; the server waits in open(2) until \
                 somebody opens it for writing"
            )));
        }
        let answer = client.answer(scene, &get(target), &NOT_A_FILE)?;
        scene.shut(client.peer);
        if answer.status != 404 {
            let status = answer.status;
            return Err(NOT_A_FILE
                .seen(format!("`GET {target}`, {what}, is answered {status}")));
        }
    }
    let mut client = Client::connect(scene, server)?;
    let answer = client.ask(scene, &get("/hello.txt"), &NO_ANSWER)?;
    expect_hello(scene, &client, &answer)
}

fn no_requests(scene: &mut Scene) -> Outcome {
    site(scene)?;
    let server = start(scene, &["site"])?;
    for (request, accepts) in [
        ("hello\r\n\r\n", &ACCEPTS_ANYTHING),
        ("GET /hello.txt\r\nHost: localhost\r\n\r\n", &ACCEPTS_ANYTHING),
        ("GET /hello.txt banana\r\nHost: localhost\r\n\r\n", &ACCEPTS_ANYTHING),
        ("GET  /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n", &ACCEPTS_ANYTHING),
        (
            "GET /hello.txt HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
            &ACCEPTS_ANYTHING,
        ),
        ("GET /hello.txt HTTP/1.1\r\nAccept: text/html\r\n\r\n", &NO_HOST),
    ] {
        let mut client = Client::connect(scene, server)?;
        let answer = client.ask(scene, request, &NO_ANSWER)?;
        let (request, status) = (quote(request), answer.status);
        if status != 400 {
            return Err(accepts.seen(format!("{request} is answered {status}")));
        }
        client.wait_for_end(scene, &format!("400 to {request}"), &GOES_ON)?;
        nothing_more(scene, &client)?;
    }
    for (fields, wrong) in [
        ("Host: localhost\r\nConnection: close", &IGNORES_CLOSE),
        ("hOST: localhost\r\nCONNECTION: close", &NAMES_HAVE_CASE),
        ("Host:localhost\r\nConnection:close", &BLANKS_COUNT),
        ("Host: \t localhost \t\r\nConnection:   close\t", &BLANKS_COUNT),
    ] {
        let request = format!("GET /hello.txt HTTP/1.1\r\n{fields}\r\n\r\n");
        let mut client = Client::connect(scene, server)?;
        let answer = client.ask(scene, &request, wrong)?;
        if answer.status != 200 {
            let (request, status) = (quote(&request), answer.status);
            return Err(wrong.seen(format!("{request} is answered {status}")));
        }
        client.wait_for_end(
            scene,
            &format!("the answer to {}", quote(&request)),
            wrong,
        )?;
    }
    let mut client = Client::connect(scene, server)?;
    let fields = format!("X-Long: {}\r\n", "x".repeat(970)).repeat(8);
    let request = format!("GET /hello.txt HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let answer = client.ask(scene, &request, &SMALL_BUFFER)?;
    scene.shut(client.peer);
    if answer.status != 200 {
        let (bytes, status) = (request.len(), answer.status);
        return Err(SMALL_BUFFER
            .seen(format!("a head of {bytes} bytes is answered {status}")));
    }
    for (what, begin, part) in [
        ("the first line", "GET /", "x".repeat(64)),
        (
            "fields",
            "GET / HTTP/1.1\r\nHost: h\r\n",
            format!("X: {}\r\n", "x".repeat(59)),
        ),
    ] {
        let client = Client::connect(scene, server)?;
        scene.say(client.peer, begin.to_owned() + &part.repeat(8192));
        client.wait_for_end(
            scene,
            &format!("half a million bytes of {what}, and no end of them,"),
            &NO_LIMIT,
        )?;
    }
    rest_or_wait(scene, "heads that had no end")
}

fn several_clients(scene: &mut Scene) -> Outcome {
    site(scene)?;
    let content = large(scene)?;
    let server = start(scene, &["site"])?;
    let silent = Client::connect(scene, server)?;
    served_beside(scene, server, "a client that says nothing")?;
    let mut halting = Client::connect(scene, server)?;
    let request = get("/hello.txt");
    let (first, second) = request.split_at(10);
    scene.say(halting.peer, first);
    served_beside(scene, server, "a client that has said half a request")?;
    let peer = scene.connect_with_buffers(server, Some(4096))?;
    let mut slow = Client::from(server, peer);
    scene.hold(slow.peer, true);
    scene.say(slow.peer, get("/large"));
    served_beside(scene, server, "a client that does not read its answer")?;
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(Client::connect(scene, server)?);
    }
    for client in clients.iter_mut().rev() {
        let answer = client.ask(scene, &request, &ONE_AT_A_TIME)?;
        expect_status("/hello.txt", &answer, 200)?;
    }
    halting.ask_rest(scene, second, &request)?;
    scene.hold(slow.peer, false);
    let answer = slow.answer(scene, &get("/large"), &NO_ANSWER)?;
    expect_file(scene, &slow, "/large", &answer, &content, &NOT_THE_BYTES)?;
    match silent.has_ended(scene) {
        // It has been told that its time is over, perhaps.
        true => Ok(()),
        false => nothing_more(scene, &silent),
    }
}

fn served_beside(
    scene: &mut Scene,
    server: std::net::SocketAddr,
    who: &str,
) -> Outcome {
    rest_or_wait(scene, who)?;
    let mut client = Client::connect(scene, server)?;
    scene.say(client.peer, get("/hello.txt"));
    scene.wait_with_patience(|s| {
        !client.unread(s).is_empty() || client.has_ended(s)
    })?;
    if client.unread(scene).is_empty() && scene.exit().is_none() {
        let seen = where_it_waits(scene, server, client.peer);
        return Err(ONE_AT_A_TIME.hung(format!(
            "beside {who} another one asks and is not answered: {seen}"
        )));
    }
    let answer = client.answer(scene, &get("/hello.txt"), &ONE_AT_A_TIME)?;
    expect_hello(scene, &client, &answer)
}

fn break_off(scene: &mut Scene) -> Outcome {
    site(scene)?;
    large(scene)?;
    let server = start(scene, &["site"])?;
    for (what, said, gone) in [
        ("a client came and broke its connection off", "", Gone::Reset),
        ("a client broke off in the middle of a request", "GET /hel", Gone::Reset),
        (
            "a client broke off in the middle of its answer",
            &get("/large"),
            Gone::Reset,
        ),
        ("a client sent half a request and its end", "GET /hello.txt HT", Gone::Fin),
        ("a client sent what is no text", "\u{fffd}", Gone::Waits),
    ] {
        let peer = scene.connect_with_buffers(server, Some(4096))?;
        let client = Client::from(server, peer);
        scene.hold(peer, true);
        match gone {
            Gone::Waits => {
                scene.say(peer, b"\xff\xfe\0GET \xc3\x28\r\n\xff\r\n\r\n")
            }
            _ => scene.say(peer, said),
        }
        rest_or_wait(scene, what)?;
        match gone {
            Gone::Reset => scene.break_off(peer),
            Gone::Fin | Gone::Waits => {
                scene.hold(peer, false);
                scene.shut(peer);
                client.wait_for_end(scene, what, &NO_END)?;
            }
        }
        rest_or_wait(scene, what)?;
        no_connection_is_left(scene, what)?;
    }
    let mut client = Client::connect(scene, server)?;
    let answer = client.ask(scene, &get("/hello.txt"), &NO_ANSWER)?;
    expect_hello(scene, &client, &answer)
}

/// How a client goes.
#[derive(Clone, Copy)]
enum Gone {
    Reset,
    Fin,
    /// It sends its end, and before that what is no text.
    Waits,
}

fn expect_status(what: &str, answer: &Answer, status: u16) -> Outcome {
    match answer.status == status {
        true => Ok(()),
        false => Err(WRONG_STATUS.seen(format!(
            "{what} is answered {}, and not {status}",
            answer.status
        ))),
    }
}

fn expect_hello(scene: &mut Scene, client: &Client, answer: &Answer) -> Outcome {
    let content = HELLO.as_bytes();
    expect_file(scene, client, "/hello.txt", answer, content, &NOT_THE_BYTES)
}

/// Status 200 and this content; `other` is what is wrong if it is something else.
fn expect_file(
    scene: &mut Scene,
    client: &Client,
    target: &str,
    answer: &Answer,
    content: &[u8],
    other: &Misconception,
) -> Outcome {
    if answer.status != 200 && other.name != NOT_DECODED.name {
        let seen = format!("`GET {target}` is answered {}", answer.status);
        let wrong = match other.name == NOT_THE_BYTES.name && content != BYTES {
            true => &WRONG_STATUS,
            false => other,
        };
        return Err(wrong.seen(seen));
    }
    let mut seen = format!(
        "`GET {target}` is answered {} with {} bytes of {}: {}",
        answer.status,
        answer.length,
        content.len(),
        quote(&String::from_utf8_lossy(&answer.body))
    );
    if answer.status == 200 && answer.body == content {
        return Ok(());
    }
    if content.starts_with(&answer.body) {
        // Does the rest come behind what was said to be all?
        rest_or_wait(scene, "an answer")?;
        let more = client.unread(scene).len();
        seen += &format!("; {more} more bytes came behind that");
    }
    Err(other.seen(seen))
}

/// All answers were read: nothing else may have come.
fn nothing_more(scene: &Scene, client: &Client) -> Outcome {
    match client.unread(scene) {
        [] => Ok(()),
        more => Err(NOT_THE_BYTES.seen(format!(
            "behind the last answer came {}",
            quote(&String::from_utf8_lossy(more))
        ))),
    }
}

/// The clients are gone.
fn no_connection_is_left(scene: &Scene, what: &str) -> Outcome {
    if scene.exit().is_some() {
        return Err(ends(scene, what));
    }
    let sockets = scene.tcp_sockets(scene.program());
    match sockets.iter().find(|(_, socket)| socket.state != State::Listen) {
        None => Ok(()),
        Some((fd, socket)) => Err(NO_END.seen(format!(
            "{what}, and the server still has descriptor {fd} of its connection (state {})",
            socket.state
        ))),
    }
}

impl Client {
    /// Sends the second part of a request and reads the answer.
    fn ask_rest(&mut self, scene: &mut Scene, rest: &str, request: &str) -> Outcome {
        // A server may have set a limit to the time for a request.
        if self.has_ended(scene) {
            return Ok(());
        }
        scene.say(self.peer, rest);
        let answer = self.answer(scene, request, &ONE_READ)?;
        expect_status("a request in two parts", &answer, 200)
    }
}
