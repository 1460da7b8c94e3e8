//! A client that speaks HTTP/1.1 (RFC 9112) to a judged server, reads its answers to the byte, and
//! takes nothing on trust.

use super::servers::{BUSY, ends, goes_on, where_it_waits};
use crate::scene::{End, Misconception, Peer, Scene, Settled, Stop, quote};
use std::net::SocketAddr;

pub const NOT_HTTP: Misconception = Misconception {
    name: "not-http",
    expected: "an answer is `HTTP/1.1 STATUS REASON`, lines `Name: value`, an empty \
               line, and the body",
    why: "A client reads the head of an answer line by line, each of which ends with \
          CR LF, and the body by Content-Length. What is in another form it cannot \
          read at all.",
    lesson: "47_http_server",
};

pub const NO_LENGTH: Misconception = Misconception {
    name: "no-length",
    expected: "each answer has Content-Length",
    why: "TCP does not say where one answer ends and the next begins. Without a length \
          only the end of the connection could say it: the client waits for that, \
          and cannot tell a whole file from half a one.",
    lesson: "47_http_server",
};

/// One connection to the server.
#[derive(Clone, Copy)]
pub struct Client {
    server: SocketAddr,
    pub peer: Peer,
    /// How many of the bytes that were heard belong to answers that have been read.
    read: usize,
}

/// One answer.
pub struct Answer {
    pub status: u16,
    /// What Content-Length says.
    pub length: usize,
    pub body: Vec<u8>,
    fields: Vec<(String, String)>,
}

/// How far the answer has come.
enum Parsed {
    Whole(Answer, usize),
    /// It has not come whole. What is there of it?
    More(&'static str),
    Wrong(&'static Misconception, String),
}

impl Client {
    pub fn connect(scene: &mut Scene, server: SocketAddr) -> Result<Client, Stop> {
        Ok(Client::from(server, scene.connect(server)?))
    }

    /// One that is connected already.
    pub fn from(server: SocketAddr, peer: Peer) -> Client {
        Client { server, peer, read: 0 }
    }

    /// Sends a request and reads the answer. `missing` is what is wrong if none comes.
    pub fn ask(
        &mut self,
        scene: &mut Scene,
        request: &str,
        missing: &Misconception,
    ) -> Result<Answer, Stop> {
        scene.say(self.peer, request);
        self.answer(scene, request, missing)
    }

    /// Reads the answer to a request that was sent before.
    pub fn answer(
        &mut self,
        scene: &mut Scene,
        request: &str,
        missing: &Misconception,
    ) -> Result<Answer, Stop> {
        let with_body = !request.starts_with("HEAD ");
        let (client, mut parsed) = (*self, Parsed::More("nothing"));
        scene.wait_with_patience(|scene| {
            parsed = parse(client.unread(scene), with_body);
            !matches!(parsed, Parsed::More(_)) || scene.end_of(client.peer).is_some()
        })?;
        let what = format!("the request {}", quote(request));
        if matches!(parsed, Parsed::More(_)) {
            goes_on(scene, &what)?;
        }
        match parsed {
            Parsed::Whole(answer, length) => {
                self.read += length;
                Ok(answer)
            }
            Parsed::Wrong(misconception, seen) => {
                Err(misconception.seen(format!("to {what} {seen}")))
            }
            Parsed::More(so_far) => {
                let end = match scene.end_of(self.peer) {
                    Some(End::Fin) => "the end of the connection".to_owned(),
                    Some(End::Reset) => "a reset of the connection".to_owned(),
                    None => {
                        let seen = where_it_waits(scene, self.server, self.peer);
                        return Err(missing.hung(format!(
                            "to {what} {so_far} came, and no more; the connection: {seen}"
                        )));
                    }
                };
                Err(missing.seen(format!("to {what} {so_far} came, and then {end}")))
            }
        }
    }

    /// What has come beyond the answers that were read.
    pub fn unread<'a>(&self, scene: &'a Scene) -> &'a [u8] {
        &scene.heard(self.peer)[self.read..]
    }

    pub fn has_ended(&self, scene: &Scene) -> bool {
        scene.end_of(self.peer).is_some()
    }

    /// Waits for the end of the connection; `no_end` is what is wrong if it does not come.
    pub fn wait_for_end(
        &self,
        scene: &mut Scene,
        what: &str,
        no_end: &Misconception,
    ) -> Result<(), Stop> {
        let settled = scene.wait_while_awake(|scene| self.has_ended(scene))?;
        match settled {
            _ if self.has_ended(scene) => return Ok(()),
            Settled::Ended => return Err(ends(scene, what)),
            Settled::Busy => {
                let doing = scene.doing_all();
                return Err(BUSY.seen(format!("after {what}; {doing}")));
            }
            _ => {}
        }
        let seen = where_it_waits(scene, self.server, self.peer);
        Err(no_end.hung(format!("after {what} the connection stays open: {seen}")))
    }
}

impl Answer {
    /// The value of a field, if it is there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(n, _)| n == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }
}

fn parse(bytes: &[u8], with_body: bool) -> Parsed {
    let wrong = |seen: String| Parsed::Wrong(&NOT_HTTP, seen);
    let begin = b"HTTP/1.1 ";
    let some = bytes.len().min(begin.len());
    if bytes[..some] != begin[..some] {
        return wrong(format!("came {}", quote(&String::from_utf8_lossy(bytes))));
    }
    if bytes.is_empty() {
        return Parsed::More("nothing");
    }
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.windows(2).any(|two| two == b"\n\n") {
            true => wrong("came a head whose lines end with LF alone".into()),
            false => Parsed::More("a part of the head"),
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.as_bytes().get(begin.len()..).unwrap_or_default();
    let (code, rest) = status.split_at(status.len().min(3));
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
    let (Some(status @ 200..=599), [] | [b' ', ..]) = (code, rest) else {
        return wrong(format!("came the line {}", quote(first)));
    };
    let mut fields = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value))
                if !name.is_empty() && !name.contains([' ', '\n']) =>
            {
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => return wrong(format!("came a head with the line {}", quote(line))),
        }
    }
    let mut answer = Answer { status, length: 0, body: Vec::new(), fields };
    let Some(length) = answer.field("content-length").map(str::to_owned) else {
        let seen =
            format!("came {}, without Content-Length, or with two", quote(first));
        return Parsed::Wrong(&NO_LENGTH, seen);
    };
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    let Some(length) = length.parse().ok().filter(|_| digits) else {
        return wrong(format!("came Content-Length: {}", quote(&length)));
    };
    answer.length = length;
    let body = if with_body { length } else { 0 };
    let start = end + 4;
    if bytes.len() - start < body {
        return Parsed::More("the head and a part of the body");
    }
    answer.body = bytes[start..start + body].to_vec();
    Parsed::Whole(answer, start + body)
}
