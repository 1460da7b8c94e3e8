//! What the repository promises about itself. `cargo xtask verify` asks the same, more often and
//! on a busy machine.

use std::path::PathBuf;
use xtask::cage::Mode;
use xtask::judge::Options;
use xtask::verify::{self, Complaint, Judgement};
use xtask::workbook::Workbook;

#[test]
fn the_conventions_hold() {
    none(verify::conventions(&workbook()));
}

#[test]
fn every_lesson_proves_what_it_says_and_its_note_shows_it() {
    none(verify::notes(&workbook(), ""));
}

#[test]
fn verdicts_are_right_in_namespaces() {
    if let Some(why) = no_namespaces() {
        eprintln!("not tested: this machine allows no namespaces ({why})");
        return;
    }
    none(verdicts(Mode::Namespaces));
}

#[test]
fn verdicts_are_right_without_namespaces() {
    none(verdicts(Mode::Process));
}

fn verdicts(mode: Mode) -> anyhow::Result<Vec<Complaint>> {
    Ok(verify::verdicts(&Judgement::all(&workbook(), "")?, 1, 2, &options(mode)?))
}

fn options(mode: Mode) -> anyhow::Result<Options> {
    let xtask = PathBuf::from(env!("CARGO_BIN_EXE_xtask"));
    Ok(Options { xtask, ..Options::new(Some(mode))? })
}

/// Why the first solution cannot be judged in namespaces, if it cannot.
fn no_namespaces() -> Option<String> {
    let judgements =
        Judgement::all(&workbook(), "solution").expect("the solutions build");
    let first = judgements.first()?;
    let options = Options { mode: None, ..options(Mode::Namespaces).ok()? };
    xtask::judge::judge(first.exercise, &first.program, &options).fell_back
}

fn workbook() -> Workbook {
    Workbook::find().expect("the tests run in a workbook")
}

fn none(complaints: anyhow::Result<Vec<Complaint>>) {
    let complaints = complaints.expect("the promise can be looked at");
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}
