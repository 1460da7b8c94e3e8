//! The learner's progress, kept in a small text file beside the answers: one line an exercise, with
//! its name, the number of hints seen, and a mark of the text that passed.

use crate::exercises::Exercise;
use crate::workbook::Workbook;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How far an exercise has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    NotStarted,
    Started,
    Passed,
    /// It had passed; the file is another one now.
    Changed,
}

/// The progress file. It is read once and written whole.
pub struct Progress {
    path: PathBuf,
    /// By the exercise's name, so that neither new exercises nor another order can harm it.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Default)]
struct Entry {
    hints: usize,
    passed: Option<String>,
}

impl Progress {
    /// Reads the file; there need be none. Lines that it does not understand are left out.
    pub fn read(workbook: &Workbook) -> Progress {
        let path = workbook.path("exercises/mine/progress.txt");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let entries = text.lines().filter_map(parse).collect();
        Progress { path, entries }
    }

    pub fn state(&self, workbook: &Workbook, exercise: &Exercise) -> State {
        let Ok(answer) = std::fs::read(workbook.answer(exercise)) else {
            return State::NotStarted;
        };
        let passed =
            self.entries.get(exercise.name).and_then(|entry| entry.passed.as_ref());
        match passed {
            Some(mark) if *mark == mark_of(&answer) => State::Passed,
            Some(_) => State::Changed,
            None if std::fs::read(workbook.starter(exercise))
                .is_ok_and(|s| s == answer) =>
            {
                State::NotStarted
            }
            None => State::Started,
        }
    }

    /// Notes that the text of this file has passed.
    pub fn passed(&mut self, exercise: &Exercise, answer: &[u8]) -> Result<()> {
        let mark = mark_of(answer);
        let entry = self.entries.entry(exercise.name.to_owned()).or_default();
        if entry.passed.as_ref() == Some(&mark) {
            return Ok(());
        }
        entry.passed = Some(mark);
        self.write()
    }

    pub fn hints(&self, exercise: &Exercise) -> usize {
        self.entries.get(exercise.name).map_or(0, |entry| entry.hints)
    }

    pub fn set_hints(&mut self, exercise: &Exercise, hints: usize) -> Result<()> {
        self.entries.entry(exercise.name.to_owned()).or_default().hints = hints;
        self.write()
    }

    /// Forgets an exercise.
    pub fn forget(&mut self, exercise: &Exercise) -> Result<()> {
        self.entries.remove(exercise.name);
        self.write()
    }

    fn write(&self) -> Result<()> {
        let mut text = String::new();
        for (name, entry) in &self.entries {
            let passed = entry.passed.as_deref().unwrap_or("-");
            text.push_str(&format!(
                "{name} hints {} passed {passed}\n",
                entry.hints
            ));
        }
        replace(&self.path, text.as_bytes())
    }
}

fn parse(line: &str) -> Option<(String, Entry)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let mut entry = Entry::default();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        match key {
            "hints" => entry.hints = value.parse().ok()?,
            "passed" if value != "-" => entry.passed = Some(value.to_owned()),
            _ => {}
        }
    }
    Some((name, entry))
}

/// Tells one text from another: FNV-1a, 64 bits.
fn mark_of(text: &[u8]) -> String {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Writes a file so that at any moment either the old or the new content is there, whole.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let written = std::fs::write(&beside, content)
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
