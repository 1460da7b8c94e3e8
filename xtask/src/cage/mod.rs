//! The sandbox: one case of one exercise runs here, in a process of its own.
//!
//! The judge starts this program again in the role `cage` and hands it a [`Job`] on standard
//! input; the answer, a [`Report`], comes back on standard output. In between:
//!
//! ```text
//! judge ── keeper ── director ── program ── whatever the program starts
//!          waits,    PID 1 of a   the one
//!          and ends  world of its that is
//!          the rest  own          judged
//! ```
//!
//! The *keeper* ([`keeper`]) gives up root's rights, makes the namespaces and holds the clock. The
//! *director* plays the case: it starts the program, talks to it and watches it through `/proc`
//! ([`crate::scene`]). When the director ends the kernel ends everything in its world. Where
//! namespaces are not allowed ([`Mode::Process`]) the keeper is the one that orphans fall to, and it
//! ends what the program left behind.

mod clock;
mod keeper;
mod landlock;
pub mod limits;
mod namespaces;
mod process;

use crate::judge::{Finding, Status};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

pub use clock::Clock;
pub use keeper::{confine, run};

/// How a case is shut off from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// User, process, network, mount and IPC namespaces.
    Namespaces,
    /// A session, a subreaper and resource limits only.
    Process,
}

impl Mode {
    pub const NAMES: [&str; 2] = ["namespaces", "process"];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn from_name(name: &str) -> Option<Mode> {
        [Mode::Namespaces, Mode::Process]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// What the judge asks of a cage.
#[derive(Clone, Debug)]
pub struct Job {
    pub exercise: String,
    pub case: String,
    pub program: PathBuf,
    pub mode: Mode,
    /// How long the case may take.
    pub deadline: Duration,
    /// By how much that may be stretched on a busy machine: see [`Clock`].
    pub patience: u32,
    /// An empty folder for [`Mode::Process`]; the judge removes it afterwards.
    pub folder: Option<PathBuf>,
}

impl Job {
    pub fn to_json(&self) -> Value {
        json!({
            "exercise": self.exercise, "case": self.case, "program": self.program,
            "mode": self.mode.name(), "deadline_ms": self.deadline.as_millis() as u64,
            "patience": self.patience,
            "folder": self.folder,
        })
    }

    pub fn from_json(value: &Value) -> Option<Job> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Job {
            exercise: text("exercise")?,
            case: text("case")?,
            program: text("program")?.into(),
            mode: Mode::from_name(&text("mode")?)?,
            deadline: Duration::from_millis(value.get("deadline_ms")?.as_u64()?),
            patience: value.get("patience")?.as_u64()?.try_into().ok()?,
            folder: text("folder").map(PathBuf::from),
        })
    }
}

/// What a cage answers.
#[derive(Clone, Debug)]
pub enum Report {
    Passed,
    /// The program did not do what the case asks, and why.
    Failed(Status, Finding),
    /// The cage could not be built in this mode; nothing was found out about the program.
    Unavailable(String),
}

impl Report {
    pub fn to_json(&self) -> Value {
        match self {
            Report::Passed => json!({ "status": Status::Passed.name() }),
            Report::Failed(status, finding) => {
                json!({ "status": status.name(), "finding": finding.to_json() })
            }
            Report::Unavailable(why) => json!({ "unavailable": why }),
        }
    }

    pub fn from_json(value: &Value) -> Option<Report> {
        if let Some(why) = value.get("unavailable") {
            return Some(Report::Unavailable(why.as_str()?.to_owned()));
        }
        match Status::from_name(value.get("status")?.as_str()?)? {
            Status::Passed => Some(Report::Passed),
            status => {
                Some(Report::Failed(status, Finding::from_json(&value["finding"])?))
            }
        }
    }
}
