//! `cargo xtask list`, and `cargo xtask` alone.

use super::{bold, green, labelled, print};
use crate::exercises::ALL;
use crate::progress::{Progress, State};
use crate::workbook::{Program, Workbook};
use anyhow::{Context, Result};
use lessons::screen::wrap;

/// The contents and the next thing to do.
pub fn overview() -> Result<u8> {
    let workbook = Workbook::find()?;
    let progress = Progress::read(&workbook)?;
    let mut text = contents(&workbook, &progress)?;
    text.push('\n');
    text.push_str(&next(&workbook, &progress)?);
    text.push_str(&labelled("help", "cargo xtask --help"));
    print(&text)?;
    Ok(0)
}

/// The contents alone.
pub fn list() -> Result<u8> {
    let workbook = Workbook::find()?;
    print(&contents(&workbook, &Progress::read(&workbook)?)?)?;
    Ok(0)
}

/// Lessons by their questions, each followed by the exercises that it prepares for.
fn contents(workbook: &Workbook, progress: &Progress) -> Result<String> {
    let mut text = String::new();
    let lessons = workbook.lessons()?;
    let column = 1 + lessons.iter().map(String::len).max().unwrap_or_default();
    for lesson in lessons {
        let question = wrap(&question(workbook, &lesson)?, column);
        text.push_str(&format!(
            "{}{question}\n",
            bold(&format!("{lesson:<column$}"))
        ));
        for exercise in ALL.iter().filter(|exercise| exercise.lesson == lesson) {
            let (mark, state) = match progress.state(workbook, exercise) {
                State::NotStarted => (" ".to_owned(), ""),
                State::Started => ("·".to_owned(), " (started)"),
                State::Passed => (green("✓"), " (passed)"),
                State::Changed => ("·".to_owned(), " (passed, then changed)"),
            };
            let title = wrap(&format!("{}{state}", exercise.title), column);
            let width = column - "  ✓ ".chars().count();
            text.push_str(&format!("  {mark} {:<width$}{title}\n", exercise.name));
        }
    }
    Ok(text)
}

/// The lesson's question: the first line of its program.
fn question(workbook: &Workbook, lesson: &str) -> Result<String> {
    let file = format!("lessons/src/bin/{lesson}.rs");
    let text = std::fs::read_to_string(workbook.path(&file))
        .with_context(|| format!("cannot read {file}"))?;
    let first = text.lines().next().unwrap_or_default();
    Ok(first.trim_start_matches("//!").trim().to_owned())
}

/// What to do now: the lessons before the next exercise, or the exercise that is
/// under way.
fn next(workbook: &Workbook, progress: &Progress) -> Result<String> {
    let open = ALL.iter().position(|e| progress.state(workbook, e) != State::Passed);
    let Some(index) = open else {
        return Ok("All exercises have passed.\n".to_owned());
    };
    let exercise = ALL[index];
    let name = exercise.name;
    let mut text = format!("{}\n", bold("Next"));
    if progress.state(workbook, exercise) == State::NotStarted {
        let read = index.checked_sub(1).map_or("", |before| ALL[before].lesson);
        let runs: Vec<String> = workbook
            .lessons()?
            .iter()
            .filter(|lesson| (read..=exercise.lesson).contains(&lesson.as_str()))
            .filter(|lesson| *lesson != read)
            .map(|lesson| format!("cargo run --bin {lesson}"))
            .collect();
        text.push_str(&labelled("lessons", &runs.join("\n")));
        text.push_str(&labelled("then", &format!("cargo xtask start {name}")));
    } else {
        text.push_str(&labelled("edit", &Program::Answer(exercise).file()));
        text.push_str(&labelled("then", &format!("cargo xtask check {name}")));
    }
    Ok(text)
}
