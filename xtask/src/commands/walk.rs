//! `cargo xtask walk 04_detach`: the question and what to predict; then, before each step, the
//! source that is about to run; a key; its output. From a pipe it prints all without waiting.

use super::{bold, dim, print};
use crate::build::{Built, Profile, cargo_build};
use crate::workbook::{Workbook, find_lesson};
use anyhow::{Context, Result};
use lessons::screen::wrap;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

pub fn run(name: &str, args: &[String]) -> Result<u8> {
    let workbook = Workbook::find()?;
    let lesson = find_lesson(&workbook, name)?;
    let file = format!("lessons/src/bin/{lesson}.rs");
    let source = std::fs::read_to_string(workbook.path(&file))
        .with_context(|| format!("cannot read {file}"))?;
    let program = match cargo_build(
        &workbook,
        "lessons",
        &[&lesson],
        Profile::Plain,
        false,
    )? {
        Built::DoesNotCompile => return Ok(1),
        Built::Ready(paths) => {
            paths.into_iter().next().context("cargo named no executable")?
        }
    };
    let interactive =
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    print(&introduction(&source))?;

    let (from_lesson, to_us) = std::io::pipe()?;
    let (from_us, mut to_lesson) = std::io::pipe()?;
    let mut command = Command::new(program);
    command.args(args);
    // As the lesson's side expects it: a descriptor to write to, one to read from.
    command.env(
        "LESSONS_WALK",
        format!("{},{}", to_us.as_raw_fd(), from_us.as_raw_fd()),
    );
    let inherited = [to_us.as_raw_fd(), from_us.as_raw_fd()];
    // SAFETY: fcntl is async-signal-safe, and both descriptors are open in the child.
    unsafe {
        command.pre_exec(move || {
            for fd in inherited {
                fcntl(
                    BorrowedFd::borrow_raw(fd),
                    FcntlArg::F_SETFD(FdFlag::empty()),
                )?;
            }
            Ok(())
        });
    }
    let mut child = command.spawn().context("cannot start the lesson")?;
    drop((to_us, from_us));

    let mut source = Source::new(&source);
    for line in BufReader::new(from_lesson).lines() {
        let step: usize = line?.trim().parse().context("not a line number")?;
        print(&source.before_step(step))?;
        if interactive && !wait_for_key()? {
            child.kill()?;
            child.wait()?;
            return Ok(0);
        }
        // If the lesson has ended meanwhile, the next read says so.
        let _ = to_lesson.write_all(b"\n");
    }
    let status = child.wait()?;
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

/// The lesson's header: its question, what it says, what to predict.
fn introduction(source: &str) -> String {
    let header = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut paragraphs: Vec<String> = Vec::new();
    for (index, line) in header.map(str::trim).enumerate() {
        let labelled =
            line.split(' ').next().is_some_and(|word| word.ends_with(':'));
        match paragraphs.last_mut() {
            Some(last)
                if index > 1
                    && !last.is_empty()
                    && !line.is_empty()
                    && !labelled =>
            {
                last.push_str(&format!(" {line}"));
            }
            _ => paragraphs.push(line.to_owned()),
        }
    }
    let mut text = String::new();
    for (index, paragraph) in paragraphs.iter().enumerate() {
        let wrapped = wrap(paragraph, 0);
        text.push_str(&if index == 0 { bold(&wrapped) } else { wrapped });
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Waits for any key; false if it was q or Ctrl-C.
fn wait_for_key() -> Result<bool> {
    print(&dim("— any key runs it, q ends —"))?;
    let stdin = std::io::stdin();
    let before = tcgetattr(stdin.as_fd())?;
    let mut raw = before.clone();
    // Without signals, so that the terminal is put back after Ctrl-C, too.
    raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
    let mut key = [0];
    let read = stdin.lock().read(&mut key);
    tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &before)?;
    print("\r\x1b[K")?;
    Ok(read? == 1 && !matches!(key[0], b'q' | 0x03 | 0x04))
}

/// The lesson's text, and what of it the class has seen.
struct Source<'a> {
    lines: Vec<&'a str>,
    items: Vec<Item>,
}

/// A function, type or constant of the lesson.
struct Item {
    /// Lines from its documentation to its end, counted from 0.
    first: usize,
    last: usize,
    names: Vec<String>,
    seen: bool,
}

impl<'a> Source<'a> {
    fn new(text: &'a str) -> Source<'a> {
        let lines: Vec<&str> = text.lines().collect();
        let items = items(&lines);
        Source { lines, items }
    }

    /// The source from the step in this line (counted from 1) to the next step, and the helpers
    /// that it uses for the first time.
    fn before_step(&mut self, step: usize) -> String {
        let start = step.saturating_sub(1).min(self.lines.len());
        let rest = self.lines.get(start + 1..).unwrap_or_default();
        let end = start
            + 1
            + rest
                .iter()
                .position(|line| *line == "}" || begins_step(line))
                .unwrap_or(rest.len());
        // What stands between the opening and the first step belongs to the first step.
        let opening = self.lines[..start]
            .iter()
            .rposition(|line| line.contains("lessons::open("));
        let between = opening.map(|line| line + 1..start);
        let earlier = between.filter(|range| {
            !self.lines[range.clone()].iter().any(|line| begins_step(line))
        });
        let first = earlier.map_or(start, |range| range.start);

        let mut text = String::from("\n");
        let mut shown = vec![(first, end)];
        text.push_str(&self.show(first, end));
        // Helpers of helpers are found in the next round.
        while let Some(index) = self.unseen_helper(&shown) {
            let item = &mut self.items[index];
            item.seen = true;
            let range = (item.first, item.last + 1);
            if shown.last().is_none_or(|&(_, end)| end != item.first) {
                text.push('\n');
            }
            shown.push(range);
            text.push_str(&self.show(range.0, range.1));
        }
        text
    }

    fn unseen_helper(&self, shown: &[(usize, usize)]) -> Option<usize> {
        let text: Vec<&str> = shown
            .iter()
            .flat_map(|&(first, end)| &self.lines[first..end])
            .copied()
            .collect();
        let used = |name: &String| text.iter().any(|line| has_word(line, name));
        self.items.iter().position(|item| !item.seen && item.names.iter().any(used))
    }

    /// Numbered lines, without blank ones at the end.
    fn show(&self, first: usize, end: usize) -> String {
        let lines = &self.lines[first..end];
        let blank =
            lines.iter().rev().take_while(|line| line.trim().is_empty()).count();
        let blank_before =
            lines.iter().take_while(|line| line.trim().is_empty()).count();
        let mut text = String::new();
        for (index, line) in
            lines[..lines.len() - blank].iter().enumerate().skip(blank_before)
        {
            let number = dim(&format!("{:>4}", first + index + 1));
            text.push_str(&format!("{number}  {line}\n"));
        }
        text
    }
}

fn begins_step(line: &str) -> bool {
    line.trim_start().starts_with("step(")
}

/// The items at the top level but `main`, imports and the header.
fn items(lines: &[&str]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut first = None;
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        let start = first.unwrap_or(index);
        index += 1;
        if line.starts_with("//!") || line.trim().is_empty() {
            first = None;
            continue;
        }
        if line.starts_with("//") || line.starts_with("#[") {
            first = Some(start);
            continue;
        }
        first = None;
        // An item ends where its first line does, or where a line at the margin closes it.
        let mut last = index - 1;
        while !(lines[last].ends_with(';') || lines[last].ends_with('}'))
            || lines[last].starts_with(' ')
        {
            last += 1;
            if last + 1 >= lines.len() {
                break;
            }
        }
        index = last + 1;
        let names: Vec<String> = lines[start..=last]
            .iter()
            .filter_map(|line| defined_name(line))
            .collect();
        if !line.starts_with("use ")
            && names.first().is_some_and(|name| name != "main")
        {
            items.push(Item { first: start, last, names, seen: false });
        }
    }
    items
}

/// What a line defines: the word after fn, struct, const and the like.
fn defined_name(line: &str) -> Option<String> {
    const KEYWORDS: [&str; 7] =
        ["fn", "struct", "enum", "const", "static", "type", "impl"];
    if line.trim_start().starts_with("//") {
        return None;
    }
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find(|word| KEYWORDS.contains(word))?;
    let name =
        words.find(|word| !word.is_empty() && !matches!(*word, "fn" | "mut"))?;
    Some(name.to_owned())
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}
