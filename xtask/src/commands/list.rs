//! `cargo xtask list`, and `cargo xtask` alone.

use super::{bold, dim, green, print};
use crate::exercises::ALL;
use crate::progress::{Progress, State};
use crate::workbook::{Program, Workbook};
use anyhow::{Context, Result};
use lessons::screen::wrap;

/// The contents and the next thing to do.
pub fn overview() -> Result<u8> {
    let workbook = Workbook::find()?;
    let mut text = contents(&workbook)?;
    text.push_str(&format!("\n{}\n", next(&workbook)));
    text.push_str(&dim("All commands: cargo xtask --help\n"));
    print(&text)?;
    Ok(0)
}

/// The contents alone.
pub fn list() -> Result<u8> {
    print(&contents(&Workbook::find()?)?)?;
    Ok(0)
}

/// Lessons by their questions, each followed by the exercises that it prepares for.
fn contents(workbook: &Workbook) -> Result<String> {
    let progress = Progress::read(workbook);
    let mut text = String::new();
    for lesson in workbook.lessons()? {
        let question = wrap(&question(workbook, &lesson)?, 16);
        text.push_str(&format!("{}{question}\n", bold(&format!("{lesson:<16}"))));
        for exercise in ALL.iter().filter(|exercise| exercise.lesson == lesson) {
            let (mark, state) = match progress.state(workbook, exercise) {
                State::NotStarted => (" ".to_owned(), ""),
                State::Started => ("·".to_owned(), " (started)"),
                State::Passed => (green("✓"), " (passed)"),
                State::Changed => ("·".to_owned(), " (passed, then changed)"),
            };
            let title = wrap(&format!("{}{state}", exercise.title), 16);
            text.push_str(&format!("  {mark} {:<12}{title}\n", exercise.name));
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

fn next(workbook: &Workbook) -> String {
    let progress = Progress::read(workbook);
    let open = ALL.iter().find(|e| progress.state(workbook, e) != State::Passed);
    let Some(exercise) = open else {
        return "All exercises have passed.".to_owned();
    };
    let name = exercise.name;
    match progress.state(workbook, exercise) {
        State::NotStarted => format!(
            "Next: the lessons up to {}, the first of them by cargo run --bin 01_create;\n      \
             then cargo xtask start {name}",
            exercise.lesson
        ),
        _ => {
            let file = Program::Answer(exercise).file();
            format!("Next: edit {file},\n      then cargo xtask check {name}")
        }
    }
}
