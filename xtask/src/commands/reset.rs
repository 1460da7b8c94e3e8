//! `cargo xtask reset exercise3`

use super::{print, start};
use crate::progress::Progress;
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};

pub fn run(name: &str) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    let answer = workbook.answer(exercise);
    let mut kept = String::new();
    if answer.exists() {
        let backup = free_name(&workbook, exercise.name)?;
        let path = workbook.path(&backup);
        std::fs::rename(&answer, &path)
            .with_context(|| format!("cannot move your file to {backup}"))?;
        kept = format!("Your file is kept as {backup}.\n");
    }
    start::put(&workbook, exercise)?;
    Progress::read(&workbook).forget(exercise)?;
    print(&format!(
        "{kept}The starter is back in {}.\n",
        Program::Answer(exercise).file()
    ))?;
    Ok(0)
}

/// The first backup name that is not taken, in a folder that is there after this.
fn free_name(workbook: &Workbook, exercise: &str) -> Result<String> {
    let folder = "exercises/mine/backup";
    std::fs::create_dir_all(workbook.path(folder))
        .with_context(|| format!("cannot make {folder}"))?;
    (1..)
        .map(|n| format!("{folder}/{exercise}-{n}.rs"))
        .find(|name| !workbook.path(name).exists())
        .context("no free name for a backup")
}
