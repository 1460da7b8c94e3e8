//! `cargo xtask reset exercise3`

use super::{labelled, print, start, title};
use crate::exercises::Exercise;
use crate::progress::Progress;
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};

pub fn run(name: &str) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    let mut text = format!("{}\n· the starter is back\n", title(exercise));
    if let Some(backup) = put_back(&workbook, exercise)? {
        text.push_str(&labelled("yours", &backup));
    }
    text.push_str(&labelled("edit", &Program::Answer(exercise).file()));
    // The files come first: they can be put in order whatever has become of the
    // progress.
    let forgotten = Progress::read(&workbook).and_then(|mut p| p.forget(exercise));
    print(&text)?;
    forgotten.map(|()| 0)
}

/// Puts the starter in the place of the answer; returns where the answer is now, if
/// it was another text.
fn put_back(workbook: &Workbook, exercise: &Exercise) -> Result<Option<String>> {
    let answer = workbook.answer(exercise);
    let untouched = std::fs::read(&answer).is_ok_and(|text| {
        std::fs::read(workbook.starter(exercise))
            .is_ok_and(|starter| starter == text)
    });
    if !answer.exists() || untouched {
        start::put(workbook, exercise)?;
        return Ok(None);
    }
    let backup = free_name(workbook, exercise.name)?;
    let path = workbook.path(&backup);
    std::fs::rename(&answer, &path)
        .with_context(|| format!("cannot move your file to {backup}"))?;
    if let Err(e) = start::put(workbook, exercise) {
        // The disk is full, say: then all is as it was.
        let _ = std::fs::rename(&path, &answer);
        return Err(e);
    }
    Ok(Some(backup))
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
