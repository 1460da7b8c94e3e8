//! Where things are: found in the tree, never listed.

use crate::exercises::{ALL, Exercise};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The workbook's folder.
pub struct Workbook {
    pub root: PathBuf,
}

impl Workbook {
    /// The workbook that the current folder lies in; else the one this program was built in.
    pub fn find() -> Result<Workbook> {
        let here = std::env::current_dir().unwrap_or_default();
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let root = here
            .ancestors()
            .chain(built)
            .find(|folder| folder.join("exercises/mine/Cargo.toml").exists())
            .context("there is no workbook here: go to its folder")?;
        Ok(Workbook { root: root.to_owned() })
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The learner's file of an exercise, below the workbook's folder.
    pub fn answer(&self, exercise: &Exercise) -> PathBuf {
        self.path(&Program::Answer(exercise).file())
    }

    pub fn starter(&self, exercise: &Exercise) -> PathBuf {
        self.path(&Program::Starter(exercise).file())
    }

    /// The names of all lessons, in order: `01_create`, `02_params`, …
    pub fn lessons(&self) -> Result<Vec<String>> {
        self.stems("lessons/src/bin", |_| true)
    }

    /// The known wrong answers to an exercise: `wrong3_never_joins`, …
    pub fn wrong_answers(&self, exercise: &Exercise) -> Result<Vec<String>> {
        let prefix = format!("wrong{}_", exercise.number());
        self.stems("solutions/wrong/src/bin", |name| name.starts_with(&prefix))
    }

    /// The names of the Rust files of a folder, without their ending, in order.
    pub fn stems(
        &self,
        folder: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>> {
        let path = self.path(folder);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path)
            .with_context(|| format!("cannot read {folder}"))?
        {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "rs")
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
                && wanted(name)
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// A program of the workbook that belongs to an exercise.
#[derive(Clone, Copy)]
pub enum Program<'a> {
    /// The learner's own.
    Answer(&'a Exercise),
    Starter(&'a Exercise),
    Solution(&'a Exercise),
    /// A known wrong answer, by its name.
    Wrong(&'a str),
}

impl Program<'_> {
    /// The name of its binary.
    pub fn name(&self) -> String {
        match self {
            Program::Answer(exercise) => exercise.name.to_owned(),
            Program::Starter(exercise) => format!("starter{}", exercise.number()),
            Program::Solution(exercise) => format!("solution{}", exercise.number()),
            Program::Wrong(name) => (*name).to_owned(),
        }
    }

    /// The package that it is built in.
    pub fn package(&self) -> &'static str {
        match self {
            Program::Answer(_) => "mine",
            Program::Starter(_) => "exercises",
            Program::Solution(_) => "solutions",
            Program::Wrong(_) => "wrong",
        }
    }

    /// Its source, below the workbook's folder.
    pub fn file(&self) -> String {
        let folder = match self {
            Program::Answer(_) => "exercises/mine",
            Program::Starter(_) => "exercises",
            Program::Solution(_) => "solutions",
            Program::Wrong(_) => "solutions/wrong",
        };
        format!("{folder}/src/bin/{}.rs", self.name())
    }
}

/// The exercise that a learner names: `exercise3`, `3`, or the path of its file.
pub fn find_exercise(name: &str) -> Result<&'static Exercise> {
    let stem =
        Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
    let found = ALL.iter().find(|e| e.name == stem || e.number() == stem);
    if let Some(exercise) = found {
        return Ok(exercise);
    }
    let nearest = nearest(stem, ALL.iter().map(|e| e.name)).unwrap_or_default();
    bail!(
        "there is no exercise “{name}”; did you mean {nearest}? (cargo xtask list)"
    )
}

/// The lesson that somebody names: `04_detach`, `4`, `detach`, or the path of its file.
pub fn find_lesson(workbook: &Workbook, name: &str) -> Result<String> {
    let stem =
        Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
    let lessons = workbook.lessons()?;
    let found = lessons.iter().find(|lesson| {
        let (number, word) = lesson.split_once('_').unwrap_or((lesson, ""));
        *lesson == stem
            || word == stem
            || number.trim_start_matches('0') == stem
            || number == stem
    });
    if let Some(lesson) = found {
        return Ok(lesson.clone());
    }
    let nearest =
        nearest(stem, lessons.iter().map(String::as_str)).unwrap_or_default();
    bail!("there is no lesson “{name}”; did you mean {nearest}? (cargo xtask list)")
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| {
        // Who gives a number only means the part that has one.
        let part = known.trim_start_matches(|c: char| !c.is_ascii_digit());
        let number = name.chars().all(|c| c.is_ascii_digit());
        strsim::jaro_winkler(name, if number { part } else { known })
    };
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
