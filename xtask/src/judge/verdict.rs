//! What a check comes to: one type, for learners, tests and graders alike.

use serde_json::{Value, json};

/// How the judged program fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Passed,
    NotStarted,
    DoesNotCompile,
    Wrong,
    Crashed,
    Hung,
    TooMuch,
    /// Nothing was found out about the program: this machine cannot judge it.
    Cannot,
}

impl Status {
    const NAMES: [(Status, &str); 8] = [
        (Status::Passed, "passed"),
        (Status::NotStarted, "not started"),
        (Status::DoesNotCompile, "does not compile"),
        (Status::Wrong, "wrong"),
        (Status::Crashed, "crashed"),
        (Status::Hung, "hung"),
        (Status::TooMuch, "too much"),
        (Status::Cannot, "this machine cannot"),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(status, _)| *status == self).map_or("", |(_, n)| n)
    }

    pub fn from_name(name: &str) -> Option<Status> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(status, _)| *status)
    }
}

/// Why a program does not pass, in the words a learner reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the misconception, or of what happened.
    pub name: String,
    pub expected: String,
    pub seen: String,
    pub why: String,
    /// The lesson that speaks of it.
    pub lesson: String,
}

impl Finding {
    /// Goes with [`Status::Cannot`].
    pub fn cannot(why: String) -> Finding {
        Finding {
            name: "this-machine-cannot".into(),
            expected: "a machine that can run a program under observation".into(),
            seen: why,
            why: "Nothing was found out about the program.".into(),
            lesson: "01_create".into(),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name, "expected": self.expected, "seen": self.seen,
            "why": self.why, "lesson": self.lesson,
        })
    }

    pub fn from_json(value: &Value) -> Option<Finding> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Finding {
            name: text("name")?,
            expected: text("expected")?,
            seen: text("seen")?,
            why: text("why")?,
            lesson: text("lesson")?,
        })
    }
}

/// The verdict on one program.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub exercise: String,
    pub status: Status,
    pub findings: Vec<Finding>,
    pub seconds: f64,
}

impl Verdict {
    pub fn passed(exercise: &str) -> Verdict {
        Verdict::without_finding(exercise, Status::Passed)
    }

    /// A verdict that needs no explanation beyond its name.
    pub fn without_finding(exercise: &str, status: Status) -> Verdict {
        Verdict {
            exercise: exercise.to_owned(),
            status,
            findings: Vec::new(),
            seconds: 0.0,
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "exercise": self.exercise,
            "status": self.status.name(),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "seconds": (self.seconds * 1000.0).round() / 1000.0,
        })
    }

    /// The exit status of a check that ends with this verdict.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Status::Passed => 0,
            Status::Cannot => 2,
            _ => 1,
        }
    }
}
