//! Findings, and the program's own words in them.

use super::{Exit, Scene, Stop};
use crate::cage::Report;
use crate::judge::{Finding, Status};

/// A known wrong idea: all that can be said of it before it is seen.
pub struct Misconception {
    pub name: &'static str,
    pub expected: &'static str,
    pub why: &'static str,
    pub lesson: &'static str,
}

impl Misconception {
    /// The finding, with what was seen this time.
    pub fn seen(&self, seen: impl Into<String>) -> Stop {
        self.stop(Status::Wrong, seen)
    }

    /// The same for a program that does not go on because of it.
    pub fn hung(&self, seen: impl Into<String>) -> Stop {
        self.stop(Status::Hung, seen)
    }

    /// The finding that the program has not done what it should after `what`; if nobody can
    /// make it go on any more, that it hangs.
    pub fn so_far(&self, scene: &Scene, what: &str) -> Stop {
        if scene.stuck { scene.no_end() } else { self.seen(scene.so_far(what)) }
    }

    /// The finding with what another one has seen.
    pub fn same_as(&self, other: &Stop) -> Stop {
        match &**other {
            Report::Failed(_, finding) => self.seen(finding.seen.clone()),
            _ => other.clone(),
        }
    }

    pub(super) fn stop(&self, status: Status, seen: impl Into<String>) -> Stop {
        let finding = Finding {
            name: self.name.into(),
            expected: self.expected.into(),
            seen: visible(&seen.into()),
            why: self.why.into(),
            lesson: self.lesson.into(),
        };
        Box::new(Report::Failed(status, finding))
    }
}

impl Scene {
    /// Tells what the program has printed after `what` the case did, and whether it has ended.
    pub fn so_far(&self, what: &str) -> String {
        let ending = match self.exit() {
            None => format!("is still running: {}", self.doing()),
            Some(Exit::Code(code)) => format!("ended with status {code}"),
            Some(Exit::Signal(signal)) => format!("was ended by {signal}"),
        };
        match self.out() {
            out if out.is_empty() => {
                format!("after {what} it has printed nothing and {ending}")
            }
            out => {
                format!("after {what} it has printed {} and {ending}", quote(&out))
            }
        }
    }
}

/// A piece of the program's output as it can be shown: on one line, short, control characters
/// made visible.
pub fn quote(text: &str) -> String {
    const MOST: usize = 160;
    let mut shown: String =
        text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().count() > MOST {
        shown.push('…');
    }
    format!("“{shown}”")
}

/// The same of bytes that may be no text: those that are not ASCII as `\xff`.
pub fn quote_bytes(bytes: &[u8]) -> String {
    const MOST: usize = 160;
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("“{}{more}”", bytes[..bytes.len().min(MOST)].escape_ascii())
}

/// The text with all that cannot be printed made visible, other than the ends of lines: it holds
/// words of the program, and is shown on the learner's terminal.
fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '\n' | '\\' | '"' | '\'' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    text.chars().map(show).collect()
}

/// The message of a panic, or the last line of standard error.
pub(super) fn last_words(err: &str) -> String {
    let lines: Vec<&str> =
        err.lines().filter(|line| !line.trim().is_empty()).collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    match panic.or(lines.len().checked_sub(1)) {
        Some(first) => quote(&lines[first..lines.len().min(first + 2)].join(" ")),
        None => String::new(),
    }
}
