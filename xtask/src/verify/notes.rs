//! The transcripts of the notes are what the lessons print, and their Rust is what it claims to be.

use super::lessons::{Surroundings, quick, run};
use super::{Complaint, masked};
use crate::build::{Built, Profile, cargo_build};
use crate::workbook::Workbook;
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Runs every lesson that has this text in its name once, and compares it with its note.
pub fn notes(workbook: &Workbook, only: &str) -> Result<Vec<Complaint>> {
    let mut names = workbook.lessons()?;
    names.retain(|name| name.contains(only));
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let paths = match cargo_build(workbook, "lessons", &refs, Profile::Plain, false)?
    {
        Built::Ready(paths) => paths,
        Built::DoesNotCompile => bail!("the lessons do not compile"),
    };
    let mut complaints = Vec::new();
    for (name, path) in names.iter().zip(paths) {
        let file = format!("notes/{name}.md");
        let Ok(note) = std::fs::read_to_string(workbook.path(&file)) else {
            continue;
        };
        let blocks = blocks(&note);
        let printed =
            match run(&path, quick(workbook, name)?, Surroundings::default()) {
                Ok(printed) => printed,
                Err(e) => {
                    complaints.push(format!("{name} failed: {e:#}"));
                    continue;
                }
            };
        match blocks.iter().find(|block| block.language == "text") {
            Some(block) if masked(block.text.trim()) == masked(printed.trim()) => {}
            Some(_) => complaints.push(format!(
                "{file}: the lesson prints something else than its transcript:\n{printed}"
            )),
            None => complaints.push(format!("{file} has no transcript (a ```text block)")),
        }
        for block in blocks.iter().filter(|block| block.language.starts_with("rust"))
        {
            complaints.extend(check_rust(&file, block)?);
        }
    }
    Ok(complaints)
}

struct Block {
    language: String,
    text: String,
    line: usize,
}

/// The fenced blocks of a note.
fn blocks(note: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in note.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (language, text) = (language.to_owned(), String::new());
                open = Some(Block { language, text, line: index + 1 });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A block that is marked `compile_fail` must not compile, and with the error that it names; any
/// other must. Blocks use the standard library alone.
fn check_rust(file: &str, block: &Block) -> Result<Option<Complaint>> {
    let text = match block.text.contains("fn main()") {
        true => block.text.clone(),
        false => format!("fn main() {{\n{}\n}}\n", block.text),
    };
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut compiler = Command::new(rustc)
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "block"])
        // To standard output: as root, rustc would replace the file /dev/null itself.
        .args(["--emit", "metadata=-", "--cap-lints", "allow", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start rustc")?;
    let mut stdin = compiler.stdin.take().context("no pipe to rustc")?;
    std::io::Write::write_all(&mut stdin, text.as_bytes())?;
    drop(stdin);
    let output = compiler.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let place = format!("{file}:{}", block.line);
    let named =
        block.text.split("error[").nth(1).and_then(|rest| rest.split(']').next());
    Ok(match (block.language.contains("compile_fail"), output.status.success()) {
        (true, true) => Some(format!("{place}: this compiles, and should not")),
        (false, false) => Some(format!("{place}: this does not compile:\n{errors}")),
        (true, false) => match named {
            Some(code) if !errors.contains(&format!("error[{code}]")) => {
                Some(format!("{place}: it fails, but not with {code}:\n{errors}"))
            }
            Some(_) => None,
            None => Some(format!("{place}: it does not name the error")),
        },
        (false, true) => None,
    })
}
