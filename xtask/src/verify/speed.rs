//! How long a learner waits for a verdict: measured, never asserted.

use crate::build::cargo;
use crate::exercises::ALL;
use crate::progress::replace;
use crate::workbook::{Program, Workbook};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Checks the solution of each exercise that has this text in its name as if a learner had just edited
/// it, so many times, and returns a line of figures for each. It takes the place of the learner's
/// files, so there must be none.
pub fn speed(workbook: &Workbook, only: &str, times: usize) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for exercise in ALL.iter().filter(|exercise| exercise.name.contains(only)) {
        let answer = workbook.answer(exercise);
        if answer.exists() {
            bail!("{} is there: measure in a fresh clone", answer.display());
        }
        let solution = workbook.path(&Program::Solution(exercise).file());
        let text = std::fs::read_to_string(&solution)
            .with_context(|| format!("cannot read {}", solution.display()))?;
        std::fs::create_dir_all(answer.parent().context("no folder for answers")?)?;
        let mut seconds = Vec::new();
        // The first check builds what all later ones share; it does not count.
        for edit in 0..=times {
            replace(&answer, format!("{text}// edit {edit}\n").as_bytes())?;
            let time = check(workbook, exercise.name);
            if time.is_err() {
                let _ = std::fs::remove_file(&answer);
            }
            seconds.push(time?);
        }
        std::fs::remove_file(&answer)?;
        seconds.remove(0);
        seconds.sort();
        let median = seconds[seconds.len() / 2].as_secs_f64();
        let most = seconds[seconds.len() - 1].as_secs_f64();
        lines.push(format!(
            "{}: verdict after an edit, median {median:.2} s, longest {most:.2} s of {times}",
            exercise.name
        ));
    }
    let _ = std::fs::remove_file(workbook.path("exercises/mine/progress.txt"));
    Ok(lines)
}

/// The whole command, as a learner types it.
fn check(workbook: &Workbook, exercise: &str) -> Result<Duration> {
    let begun = Instant::now();
    let status = Command::new(cargo())
        .current_dir(&workbook.root)
        .args(["xtask", "check", exercise])
        .stdout(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the solution of {exercise} does not pass");
    }
    Ok(begun.elapsed())
}
