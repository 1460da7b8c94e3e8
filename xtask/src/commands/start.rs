//! `cargo xtask start exercise3`

use super::print;
use crate::exercises::Exercise;
use crate::progress;
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};

pub fn run(name: &str) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    let file = Program::Answer(exercise).file();
    let text = if put(&workbook, exercise)? {
        format!("Edit {file}: its first lines say what to do.\n")
    } else {
        format!(
            "{file} is there already. (cargo xtask reset {} starts anew)\n",
            exercise.name
        )
    };
    print(&text)?;
    print(&format!(
        "Then: cargo xtask run {0}, cargo xtask check {0}, and if you are stuck \
         cargo xtask hint {0}\n",
        exercise.name
    ))?;
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
