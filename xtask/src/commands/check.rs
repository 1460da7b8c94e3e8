//! `cargo xtask check exercise3`

use super::{
    bold, complain, dim, green, print, red, sandbox, sandbox_option, start,
};
use crate::build::{Built, build};
use crate::exercises::{ALL, Exercise};
use crate::judge::{self, Finding, Options, Status, Verdict, judge};
use crate::progress::{Progress, State};
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lessons::screen::wrap;
use std::time::Instant;

pub fn cli() -> Command {
    Command::new("check")
        .about("Checks your answers")
        .arg(Arg::new("names").value_name("NAME").num_args(0..).help(
            "exercise3, 3, or the path of its file; without one, the next to pass",
        ))
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .conflicts_with("names")
                .help("Every exercise"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["text", "json"])
                .default_value("text")
                .help("json prints one object a line, for each exercise"),
        )
        .arg(sandbox_option())
}

pub fn run(matches: &ArgMatches) -> Result<u8> {
    let workbook = Workbook::find()?;
    let mut progress = Progress::read(&workbook);
    let json =
        matches.get_one::<String>("format").is_some_and(|format| format == "json");
    let options = Options::new(sandbox(matches))?;
    let mut told_of_fall_back = false;
    let mut code = 0;
    for exercise in chosen(matches, &workbook, &progress)? {
        let begun = Instant::now();
        let mut judged = check(&workbook, exercise, &options)?;
        judged.verdict.seconds = begun.elapsed().as_secs_f64();
        if let Some(why) = judged.fell_back.filter(|_| !told_of_fall_back) {
            complain(&fall_back_note(&why));
            told_of_fall_back = true;
        }
        if judged.verdict.status == Status::Passed {
            let answer = std::fs::read(workbook.answer(exercise))?;
            progress.passed(exercise, &answer)?;
        }
        let verdict = &judged.verdict;
        let text = match json {
            true => format!("{}\n", verdict.to_json()),
            false => render(exercise, verdict),
        };
        print(&text)?;
        code = code.max(verdict.exit_code());
    }
    Ok(code)
}

/// The exercises that were named; all; or the first that has not passed.
fn chosen(
    matches: &ArgMatches,
    workbook: &Workbook,
    progress: &Progress,
) -> Result<Vec<&'static Exercise>> {
    if matches.get_flag("all") {
        return Ok(ALL.to_vec());
    }
    match matches.get_many::<String>("names") {
        Some(names) => names.map(|name| find_exercise(name)).collect(),
        None => {
            let open =
                ALL.iter().find(|e| progress.state(workbook, e) != State::Passed);
            Ok(vec![open.or(ALL.last()).context("there are no exercises")?])
        }
    }
}

/// Checks the learner's answer to one exercise. An untouched starter is not even built.
fn check(
    workbook: &Workbook,
    exercise: &Exercise,
    options: &Options,
) -> Result<judge::Judged> {
    let without_finding = |status| judge::Judged {
        verdict: Verdict::without_finding(exercise.name, status),
        fell_back: None,
    };
    start::put(workbook, exercise)?;
    let file = workbook.answer(exercise);
    let answer = std::fs::read(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    if std::fs::read(workbook.starter(exercise))
        .is_ok_and(|starter| starter == answer)
    {
        return Ok(without_finding(Status::NotStarted));
    }
    match build(workbook, exercise, Program::Answer(exercise))? {
        Built::DoesNotCompile => Ok(without_finding(Status::DoesNotCompile)),
        Built::Ready(program) => Ok(judge(exercise, &program, options)),
    }
}

fn fall_back_note(why: &str) -> String {
    format!(
        "note: {}\n",
        wrap(
            &format!(
                "this machine allows no namespaces ({why}), so programs run in a lesser sandbox: \
                 they see your files and the network, and share ports with everybody."
            ),
            6
        )
    )
}

/// The verdict as a learner reads it.
fn render(exercise: &Exercise, verdict: &Verdict) -> String {
    let name = exercise.name;
    let mut text =
        format!("{}   {}\n\n", bold(name), wrap(exercise.title, name.len() + 3));
    let seconds = dim(&format!("({:.1} s)", verdict.seconds));
    let file = Program::Answer(exercise).file();
    match verdict.status {
        Status::Passed => {
            text.push_str(&format!("{} {seconds}\n", green("✓ passed")));
            text.push_str(&next("compare", &format!("cargo xtask solution {name}")));
            text.push_str(&next("go on", "cargo xtask"));
        }
        Status::NotStarted => {
            text.push_str(
                "· not started: nothing is wrong, the starter is as it was\n",
            );
            text.push_str(&next("edit", &file));
            text.push_str(&next("try it", &format!("cargo xtask run {name}")));
            text.push_str(&next("then", &format!("cargo xtask check {name}")));
        }
        Status::DoesNotCompile => {
            text.push_str(&format!("{} {seconds}\n", red("✗ does not compile")));
            text.push_str(&next("see", "what the compiler says above"));
            text.push_str(&next("edit", &file));
        }
        status => {
            for finding in &verdict.findings {
                let title = red(&format!("✗ {}: {}", status.name(), finding.name));
                text.push_str(&format!("{title} {seconds}\n"));
                text.push_str(&explain(finding));
            }
            if status != Status::Cannot {
                text.push_str(&next("stuck?", &format!("cargo xtask hint {name}")));
            }
        }
    }
    text
}

fn explain(finding: &Finding) -> String {
    let mut text = next("expected", &finding.expected);
    text.push_str(&next("seen", &finding.seen));
    text.push_str(&next("why", &finding.why));
    text.push_str(&next("lesson", &format!("cargo run --bin {}", finding.lesson)));
    text
}

/// One labelled line, wrapped; the lines of `value` stay apart.
fn next(label: &str, value: &str) -> String {
    const COLUMN: usize = 11;
    let mut text = String::new();
    for (index, line) in value.lines().enumerate() {
        let label = if index == 0 { label } else { "" };
        text.push_str(&format!(
            "  {}{}\n",
            dim(&format!("{label:<9}")),
            wrap(line, COLUMN)
        ));
    }
    text
}
