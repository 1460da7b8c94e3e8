//! What no program may use more of, whatever the exercise.

use super::{Misconception, Outcome, Scene, Stop, waiting};
use crate::cage::limits;
use crate::judge::Status;
use lessons::proc::{self, Bytes};

impl Scene {
    pub(super) fn enforce_limits(&self) -> Outcome {
        self.enforce_limit_of_talk()?;
        let (mut tasks, mut memory) = (0, 0);
        let all = self.everybody();
        for &pid in &all {
            let (bytes, threads) = proc::in_use(pid).unwrap_or((Bytes(0), 0));
            tasks += threads as u64;
            memory += bytes.0;
        }
        let most = limits::TASKS * 3 / 4;
        if tasks > most {
            // Whose end only this process has yet to take note of is not there any more.
            let ended =
                all.iter().filter(|&&pid| waiting::is_own_zombie(pid)).count();
            tasks = tasks.saturating_sub(ended as u64);
        }
        if tasks > most {
            let seen = format!("{tasks} threads and processes at the same time");
            return Err(self.too_much(
                "tasks",
                seen,
                "It starts new ones without end.",
            ));
        }
        if limits::disk_is_full(self.mode, &self.folder) {
            let room = Bytes(limits::DISK);
            let seen = format!("more than {room} or {} files", limits::FILES);
            return Err(self.too_much("disk", seen, "It writes without end."));
        }
        // Memory that processes share counts for each of them, so ask more exactly.
        if memory > limits::MEMORY {
            let exact: u64 = all
                .iter()
                .filter_map(|&pid| {
                    // A program can forbid to look so closely.
                    proc::proportional(pid).or_else(|_| proc::resident(pid)).ok()
                })
                .map(|b| b.0)
                .sum();
            if exact > limits::MEMORY {
                let seen = format!("{} in use", Bytes(exact));
                return Err(self.too_much(
                    "memory",
                    seen,
                    "It takes more and more of it.",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn too_much(
        &self,
        what: &'static str,
        seen: String,
        why: &'static str,
    ) -> Stop {
        let misconception = Misconception {
            name: what,
            expected: "what the exercise needs, which is far below the limits of the check",
            why,
            lesson: "01_create",
        };
        misconception.stop(Status::TooMuch, seen)
    }
}
