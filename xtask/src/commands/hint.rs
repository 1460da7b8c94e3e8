//! `cargo xtask hint exercise3`

use super::{labelled, print, title};
use crate::progress::Progress;
use crate::workbook::{Workbook, find_exercise};
use anyhow::Result;
use lessons::screen::wrap;

pub fn run(name: &str) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    let mut progress = Progress::read(&workbook)?;
    let all = exercise.hints.len();
    let shown = progress.hints(exercise).saturating_add(1).min(all);
    let mut text = title(exercise);
    for (index, hint) in exercise.hints[..shown].iter().enumerate() {
        text.push_str(&format!("\n{:<3}{}\n", index + 1, wrap(hint, 3)));
    }
    text.push_str(&match all - shown {
        0 => {
            let command = format!("cargo xtask solution {} --spoil", exercise.name);
            format!("\nThat was the last one.\n{}", labelled("answer", &command))
        }
        left => format!("\n{left} more: ask again when you have tried.\n"),
    });
    print(&text)?;
    progress.set_hints(exercise, shown)?;
    Ok(0)
}
