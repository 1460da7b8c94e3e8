//! `cargo xtask start exercise3`

use super::{labelled, print, title};
use crate::exercises::Exercise;
use crate::progress;
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};
use lessons::screen::wrap;

pub fn run(name: &str) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    let name = exercise.name;
    let anew = put(&workbook, exercise)?;
    let mut text = format!("{}\n", title(exercise));
    let state = match anew {
        true => "your file is ready: its first lines say what to do",
        false => "your file was there already, and stays as it is",
    };
    text.push_str(&format!("· {}\n", wrap(state, 2)));
    text.push_str(&labelled("edit", &Program::Answer(exercise).file()));
    text.push_str(&labelled("try it", &format!("cargo xtask run {name}")));
    text.push_str(&labelled("then", &format!("cargo xtask check {name}")));
    text.push_str(&labelled("stuck?", &format!("cargo xtask hint {name}")));
    if !anew {
        text.push_str(&labelled("anew", &format!("cargo xtask reset {name}")));
    }
    print(&text)?;
    Ok(0)
}

/// Copies the pristine starter to the learner's file, unless there is one. True if it did.
pub fn put(workbook: &Workbook, exercise: &Exercise) -> Result<bool> {
    let answer = workbook.answer(exercise);
    if answer.exists() {
        return Ok(false);
    }
    let starter = workbook.starter(exercise);
    let text = std::fs::read(&starter)
        .with_context(|| format!("cannot read {}", starter.display()))?;
    if let Some(folder) = answer.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    progress::replace(&answer, &text)?;
    Ok(true)
}
