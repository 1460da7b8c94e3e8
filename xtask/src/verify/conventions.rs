//! The conventions of the tree, as far as a program can tell.

use super::Complaint;
use super::lessons::quick;
use super::verdicts::finding_of;
use crate::exercises::ALL;
use crate::workbook::{Program, Workbook};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Lessons are read on a projector.
const LESSON_COLUMNS: usize = 85;
const LESSON_LINES: usize = 130;
/// One with a server that can be used has more to do, one that measures still more, and a server
/// of files is a whole program.
const SERVER_LINES: usize = 300;
const MEASURING_LINES: usize = 520;
const FILE_SERVER_LINES: usize = 650;
const NOTE_COLUMNS: usize = 100;

/// The sections of a note, in their order.
const SECTIONS: [&str; 7] = [
    "## The run",
    "## Why",
    "## The C call and the Rust call",
    "## Often said, and true",
    "## Exercise",
    "## Sources",
    "## For class",
];

/// Looks through the whole tree.
pub fn conventions(workbook: &Workbook) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for lesson in workbook.lessons()? {
        complaints.extend(lesson_conventions(workbook, &lesson)?);
        complaints.extend(note_conventions(workbook, &lesson)?);
    }
    complaints.extend(exercise_conventions(workbook)?);
    complaints.extend(different_names(workbook)?);
    complaints.extend(links(workbook)?);
    Ok(complaints)
}

fn lesson_conventions(workbook: &Workbook, lesson: &str) -> Result<Vec<Complaint>> {
    let file = format!("lessons/src/bin/{lesson}.rs");
    let text = read(workbook, &file)?;
    let mut complaints = Vec::new();
    let header: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    let question = header.first().copied().unwrap_or_default();
    if !question.ends_with('?') {
        complaints.push(format!("{file}: the first line is not a question"));
    }
    if !text.contains(&format!("lessons::open(\"{question}\")")) {
        complaints.push(format!("{file}: it does not open with its question"));
    }
    for word in ["Predict:", "Neighbours:"] {
        if !header.iter().any(|line| line.starts_with(word)) {
            complaints.push(format!("{file}: the header has no line {word}"));
        }
    }
    for neighbour in
        header.iter().filter_map(|line| line.strip_prefix("Neighbours:"))
    {
        for name in
            neighbour.split([',', '.']).map(str::trim).filter(|n| !n.is_empty())
        {
            if !workbook.path(&format!("lessons/src/bin/{name}.rs")).exists() {
                complaints.push(format!("{file}: there is no neighbour {name}"));
            }
        }
    }
    let most =
        if ["_file_server", "_http_server"].iter().any(|n| lesson.ends_with(n)) {
            FILE_SERVER_LINES
        } else if !quick(workbook, lesson)?.is_empty() {
            MEASURING_LINES
        } else if text.contains("serve::role()") {
            SERVER_LINES
        } else {
            LESSON_LINES
        };
    if text.lines().count() > most {
        complaints.push(format!("{file}: longer than {most} lines"));
    }
    complaints.extend(too_wide(&file, &text, LESSON_COLUMNS));
    if text.contains("thread::sleep") || text.contains("libc::sleep") {
        complaints.push(format!("{file}: it sleeps; use a gate or `until`"));
    }
    if !text.contains("prove(") {
        complaints.push(format!("{file}: it proves nothing"));
    }
    Ok(complaints)
}

fn note_conventions(workbook: &Workbook, lesson: &str) -> Result<Vec<Complaint>> {
    let file = format!("notes/{lesson}.md");
    let Ok(text) = std::fs::read_to_string(workbook.path(&file)) else {
        return Ok(vec![format!("{lesson} has no note: {file}")]);
    };
    let mut complaints = Vec::new();
    let program = read(workbook, &format!("lessons/src/bin/{lesson}.rs"))?;
    let question =
        program.lines().next().unwrap_or_default().trim_start_matches("//! ");
    let number = lesson.split('_').next().unwrap_or_default();
    if text.lines().next() != Some(&format!("# {number} {question}")) {
        complaints.push(format!("{file}: the title is not “# {number} {question}”"));
    }
    let sections: Vec<&str> =
        text.lines().filter(|line| line.starts_with("## ")).collect();
    let as_planned = sections.len() == SECTIONS.len()
        && sections
            .iter()
            .zip(SECTIONS)
            .all(|(section, plan)| section.starts_with(plan));
    if !as_planned {
        complaints
            .push(format!("{file}: its sections are not {}", SECTIONS.join(", ")));
    }
    if !text.contains("**Predict**") {
        complaints.push(format!("{file}: nothing to predict"));
    }
    if !text.contains(&format!("`cargo run --bin {lesson}")) {
        complaints.push(format!("{file}: it does not say how to run the lesson"));
    }
    let summary = read(workbook, "notes/SUMMARY.md")?;
    if !summary.contains(&format!("({lesson}.md)")) {
        complaints.push(format!("{file}: it is not in notes/SUMMARY.md"));
    }
    // Tables and links cannot be broken.
    let prose: String =
        text.lines()
            .map(|line| {
                if line.starts_with('|') || line.contains("](") { "" } else { line }
            })
            .map(|line| format!("{line}\n"))
            .collect();
    complaints.extend(too_wide(&file, &prose, NOTE_COLUMNS));
    Ok(complaints)
}

fn exercise_conventions(workbook: &Workbook) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    let lessons = workbook.lessons()?;
    for (index, exercise) in ALL.iter().enumerate() {
        let name = exercise.name;
        if exercise.number() != (index + 1).to_string() {
            complaints
                .push(format!("{name} is out of order in the list of exercises"));
        }
        if !lessons.iter().any(|lesson| lesson == exercise.lesson) {
            complaints
                .push(format!("{name}: there is no lesson {}", exercise.lesson));
        }
        if exercise.hints.len() < 3 {
            complaints.push(format!("{name} has fewer than three hints"));
        }
        let file = Program::Starter(exercise).file();
        let starter = read(workbook, &file)?;
        let title = format!("//! Exercise {}: ", exercise.number());
        if !starter.lines().next().is_some_and(|line| line.starts_with(&title)) {
            complaints.push(format!("{file}: it does not begin with “{title}”"));
        }
        for word in
            ["Task:", "Contract:", "Checked:", "Given:", "Lesson:", "Try it:"]
        {
            if !starter.contains(word) {
                complaints.push(format!("{file}: the brief has no {word}"));
            }
        }
        if !starter.contains(&format!("cargo xtask run {name}")) {
            complaints.push(format!("{file}: it does not say how to run it"));
        }
        complaints.extend(too_wide(&file, &starter, LESSON_COLUMNS));
        let wrong = workbook.wrong_answers(exercise)?;
        if wrong.len() < 3 {
            complaints.push(format!("{name} has fewer than three wrong answers"));
        }
        let mut module = read(workbook, &format!("xtask/src/exercises/{name}.rs"))?;
        for shared in ["servers", "clients", "http"] {
            if module.contains(&format!("super::{shared}")) {
                module +=
                    &read(workbook, &format!("xtask/src/exercises/{shared}.rs"))?;
            }
        }
        for wrong in wrong {
            let file = Program::Wrong(&wrong).file();
            let text = read(workbook, &file)?;
            if !text.starts_with("//! Believes that ") {
                complaints
                    .push(format!("{file}: its first line names no misconception"));
            }
            if !module.contains(&format!("\"{}\"", finding_of(&wrong))) {
                complaints
                    .push(format!("{file}: {name} has no finding of that name"));
            }
        }
    }
    for wrong in workbook.stems("solutions/wrong/src/bin", |_| true)? {
        let known = |e: &&crate::exercises::Exercise| {
            wrong.starts_with(&format!("wrong{}_", e.number()))
        };
        if !ALL.iter().copied().any(|exercise| known(&exercise)) {
            complaints.push(format!("{wrong} belongs to no exercise"));
        }
    }
    Ok(complaints)
}

/// Two binaries of one name in a workspace overwrite each other.
fn different_names(workbook: &Workbook) -> Result<Vec<Complaint>> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let packages = ["lessons", "exercises", "solutions", "solutions/wrong"];
    for package in packages {
        for name in workbook.stems(&format!("{package}/src/bin"), |_| true)? {
            *names.entry(name).or_default() += 1;
        }
    }
    for exercise in ALL {
        *names.entry(exercise.name.to_owned()).or_default() += 1;
    }
    let twice = names.into_iter().filter(|(_, count)| *count > 1);
    Ok(twice.map(|(name, _)| format!("two binaries are called {name}")).collect())
}

/// Links to files of the tree lead somewhere.
fn links(workbook: &Workbook) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut files = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in std::fs::read_dir(workbook.path("notes"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            files.push(format!("notes/{name}"));
        }
    }
    for file in files {
        let text = read(workbook, &file)?;
        let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
        for link in
            text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !workbook.root.join(folder).join(target).exists() {
                complaints.push(format!("{file}: a link leads nowhere: {link}"));
            }
        }
    }
    Ok(complaints)
}

fn too_wide(file: &str, text: &str, columns: usize) -> Vec<Complaint> {
    let wide =
        text.lines().enumerate().filter(|(_, line)| line.chars().count() > columns);
    wide.map(|(index, _)| {
        format!("{file}:{}: wider than {columns} columns", index + 1)
    })
    .collect()
}

fn read(workbook: &Workbook, file: &str) -> Result<String> {
    std::fs::read_to_string(workbook.path(file))
        .with_context(|| format!("cannot read {file}"))
}
