//! `cargo xtask solution exercise3`

use super::{bold, green, print, red};
use crate::progress::{Progress, State};
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result, bail};
use similar::{ChangeTag, TextDiff};

pub fn run(name: &str, spoil: bool) -> Result<u8> {
    let workbook = Workbook::find()?;
    let exercise = find_exercise(name)?;
    let state = Progress::read(&workbook)?.state(&workbook, exercise);
    if !spoil && !matches!(state, State::Passed | State::Changed) {
        bail!(
            "{} has not passed yet: cargo xtask hint {0} helps, --spoil shows the answer",
            exercise.name
        );
    }
    let file = Program::Solution(exercise).file();
    let solution = std::fs::read_to_string(workbook.path(&file))
        .with_context(|| format!("cannot read {file}"))?;
    let mut text = format!("{}\n\n{solution}", bold(&file));
    if let Ok(answer) = std::fs::read_to_string(workbook.answer(exercise)) {
        text.push_str(&format!("\n{}\n\n", bold("Yours (-) and this one (+)")));
        text.push_str(&difference(&answer, &solution));
    }
    print(&text)?;
    Ok(0)
}

fn difference(yours: &str, solution: &str) -> String {
    let diff = TextDiff::from_lines(yours, solution);
    let mut text = String::new();
    for hunk in diff.grouped_ops(3) {
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            text.push_str(&match change.tag() {
                ChangeTag::Delete => red(&format!("-{line}")),
                ChangeTag::Insert => green(&format!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            });
            text.push('\n');
        }
    }
    text
}
