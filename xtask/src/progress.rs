//! The learner's progress, kept in a small text file beside the answers: one line an
//! exercise, with its name, the number of hints seen, and a mark of the text that
//! passed. Other lines are kept as they are: they may be a later version's, or what
//! is left after an accident.

use crate::exercises::Exercise;
use crate::workbook::Workbook;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write;
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
    /// By the exercise's name, so that neither new exercises nor another order can
    /// harm it.
    entries: BTreeMap<String, Entry>,
    /// Lines that mean nothing here.
    others: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Entry {
    hints: usize,
    passed: Option<String>,
}

impl Progress {
    /// Reads the file; there need be none.
    ///
    /// # Errors
    /// There is one, and it cannot be read: better say so than forget what is in it.
    pub fn read(workbook: &Workbook) -> Result<Progress> {
        let path = workbook.path("exercises/mine/progress.txt");
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => {
                read.with_context(|| format!("cannot read {}", path.display()))?
            }
        };
        let (mut entries, mut others) = (BTreeMap::new(), Vec::new());
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
        {
            match std::str::from_utf8(line).ok().and_then(parse) {
                Some((name, entry)) => _ = entries.insert(name, entry),
                None => others.push(line.to_vec()),
            }
        }
        Ok(Progress { path, entries, others })
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
        let mut text = Vec::new();
        for (name, entry) in &self.entries {
            let passed = entry.passed.as_deref().unwrap_or("-");
            writeln!(text, "{name} hints {} passed {passed}", entry.hints)?;
        }
        for line in &self.others {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        replace(&self.path, &text)
    }
}

fn parse(line: &str) -> Option<(String, Entry)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, "hints", hints, "passed", passed] = words[..] else {
        return None;
    };
    let passed = Some(passed.to_owned()).filter(|mark| mark != "-");
    Some((name.to_owned(), Entry { hints: hints.parse().ok()?, passed }))
}

/// Tells one text from another: FNV-1a, 64 bits.
fn mark_of(text: &[u8]) -> String {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Writes a file so that at any moment either the old or the new content is there,
/// whole.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let written = std::fs::write(&beside, content)
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
