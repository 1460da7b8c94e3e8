//! `cargo xtask check exercise3`

use super::{
    complain, dim, green, labelled, print, red, sandbox, sandbox_option, start,
    title,
};
use crate::build::{Built, build};
use crate::exercises::{ALL, Exercise};
use crate::judge::{self, Finding, Options, Status, Verdict, judge};
use crate::progress::{Progress, State};
use crate::workbook::{Program, Workbook, find_exercise};
use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lessons::screen::{width, wrap};
use std::time::Instant;

pub fn cli() -> Command {
    Command::new("check")
        .about("Checks your answers")
        .arg(
            Arg::new("names").value_name("NAME").num_args(0..).help(
                "exercise3, 3, or its file's path; without one, the next to pass",
            ),
        )
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
                .hide_default_value(true)
                .hide_possible_values(true)
                .help("text, or json: one object a line, for each exercise"),
        )
        .arg(sandbox_option())
}

pub fn run(matches: &ArgMatches) -> Result<u8> {
    let workbook = Workbook::find()?;
    let mut progress = Progress::read(&workbook)?;
    let json =
        matches.get_one::<String>("format").is_some_and(|format| format == "json");
    let options = Options::new(sandbox(matches))?;
    let mut told_of_fall_back = false;
    let (mut code, mut kept) = (0, Ok(()));
    let mut gap = "";
    for exercise in chosen(matches, &workbook, &progress)? {
        let begun = Instant::now();
        start::put(&workbook, exercise)?;
        let file = workbook.answer(exercise);
        let answer = std::fs::read(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let mut judged = check(&workbook, exercise, &answer, &options)?;
        judged.verdict.seconds = begun.elapsed().as_secs_f64();
        if let Some(why) = judged.fell_back.filter(|_| !told_of_fall_back) {
            complain(&fall_back_note(&why));
            told_of_fall_back = true;
        }
        if judged.verdict.status == Status::Passed {
            // The learner hears the verdict even where it cannot be kept.
            kept = kept.and(progress.passed(exercise, &answer));
        }
        let verdict = &judged.verdict;
        let text = match json {
            true => format!("{}\n", verdict.to_json()),
            false => format!("{gap}{}", render(exercise, verdict)),
        };
        print(&text)?;
        gap = "\n";
        code = code.max(verdict.exit_code());
    }
    kept.map(|()| code)
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
    answer: &[u8],
    options: &Options,
) -> Result<judge::Judged> {
    let without_finding = |status| judge::Judged {
        verdict: Verdict::without_finding(exercise.name, status),
        fell_back: None,
    };
    if std::fs::read(workbook.starter(exercise))
        .is_ok_and(|starter| starter == *answer)
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
                 they see the network and share ports with everybody; on a kernel without \
                 Landlock they also see your files."
            ),
            6
        )
    )
}

/// The verdict as a learner reads it.
fn render(exercise: &Exercise, verdict: &Verdict) -> String {
    let name = exercise.name;
    let mut text = format!("{}\n", title(exercise));
    let seconds = dim(&format!("({:.1} s)", verdict.seconds));
    let file = Program::Answer(exercise).file();
    match verdict.status {
        Status::Passed => {
            text.push_str(&format!("{} {seconds}\n", green("✓ passed")));
            text.push_str(&labelled(
                "compare",
                &format!("cargo xtask solution {name}"),
            ));
            text.push_str(&labelled("go on", "cargo xtask"));
        }
        Status::NotStarted => {
            let calm = "not started: nothing is wrong, the starter is as it was";
            text.push_str(&format!("· {}\n", wrap(calm, 2)));
            text.push_str(&labelled("edit", &file));
            text.push_str(&labelled("try it", &format!("cargo xtask run {name}")));
            text.push_str(&labelled("then", &format!("cargo xtask check {name}")));
        }
        Status::DoesNotCompile => {
            text.push_str(&format!("{} {seconds}\n", red("✗ does not compile")));
            text.push_str(&labelled("see", "what the compiler says above"));
            text.push_str(&labelled("edit", &file));
        }
        // The program is not to blame, and no lesson helps.
        Status::Cannot => {
            text.push_str(&red("✗ this machine cannot check it\n"));
            for finding in &verdict.findings {
                text.push_str(&explain(finding));
            }
        }
        status => {
            for finding in &verdict.findings {
                let title = format!("✗ {}: {}", status.name(), finding.name);
                text.push_str(&red(&title));
                // Only the longest names leave no room for the time.
                if title.chars().count() + " (10.0 s)".len() <= width() {
                    text.push_str(&format!(" {seconds}"));
                }
                text.push('\n');
                text.push_str(&explain(finding));
                let lesson = format!("cargo run --bin {}", finding.lesson);
                text.push_str(&labelled("lesson", &lesson));
            }
            text.push_str(&labelled("stuck?", &format!("cargo xtask hint {name}")));
        }
    }
    text
}

fn explain(finding: &Finding) -> String {
    let mut text = labelled("expected", &finding.expected);
    text.push_str(&labelled("seen", &finding.seen));
    text.push_str(&labelled("why", &finding.why));
    text
}
