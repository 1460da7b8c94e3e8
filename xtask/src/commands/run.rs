//! `cargo xtask run exercise3 [ARGS]`

use super::start;
use crate::build::{Built, Profile, cargo_build};
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Builds the learner's program and becomes it, so that the terminal and the exit status are its own.
pub fn run(name: &str, args: &[String]) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    start::put(&workbook, exercise)?;
    let program = Program::Answer(exercise);
    let built = cargo_build(
        &workbook,
        program.package(),
        &[exercise.name],
        Profile::Plain,
        false,
    )?;
    match built {
        Built::DoesNotCompile => Ok(1),
        Built::Ready(paths) => {
            let path = paths.first().context("cargo named no executable")?;
            Err(Command::new(path).args(args).exec())
                .context("cannot start the program")
        }
    }
}
