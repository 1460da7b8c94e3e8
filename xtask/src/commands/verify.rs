//! `cargo xtask verify`: what the repository promises about itself, as often and under as much load
//! as an author wants.

use super::{complain, print, sandbox, sandbox_option};
use crate::cage::Mode;
use crate::exercises::ALL;
use crate::judge::Options;
use crate::verify::{
    Judgement, Surroundings, conventions, lessons, notes, one_core, speed, spin,
    verdicts,
};
use crate::workbook::Workbook;
use anyhow::{Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// What is promised; `speed` is measured, and only if it is asked for.
const PARTS: [&str; 5] = ["conventions", "lessons", "notes", "verdicts", "speed"];

pub fn cli() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("verify")
        .about("Holds the workbook to its promises (for authors)")
        .arg(
            Arg::new("parts")
                .value_name("PART")
                .num_args(0..)
                .value_parser(PARTS)
                .help("Which promises; all but speed without one"),
        )
        .arg(
            Arg::new("times")
                .long("times")
                .value_name("N")
                .default_value("1")
                .value_parser(clap::value_parser!(u32).range(1..))
                .help("How often each lesson runs and each program is judged"),
        )
        .arg(
            Arg::new("only").long("only").value_name("TEXT").help(
                "Lessons, exercises and programs with this text in their name",
            ),
        )
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .value_name("N")
                .default_value("1")
                .value_parser(clap::value_parser!(u32).range(1..))
                .help("How many programs are judged at once"),
        )
        .arg(flag("busy", "With eight busy loops beside it"))
        .arg(flag("one-core", "On one processor"))
        .arg(flag("nobody", "Lessons as the user nobody (as root only)"))
        .arg(flag("release", "Lessons built with optimisations"))
        .arg(sandbox_option())
}

pub fn run(matches: &ArgMatches) -> Result<u8> {
    let workbook = Workbook::find()?;
    let chosen: Vec<&String> =
        matches.get_many("parts").into_iter().flatten().collect();
    let wanted =
        |part: &str| chosen.is_empty() || chosen.iter().any(|name| *name == part);
    let times = *matches.get_one::<u32>("times").unwrap_or(&1) as usize;
    let jobs = *matches.get_one::<u32>("jobs").unwrap_or(&1) as usize;
    let only = matches.get_one::<String>("only").map_or("", String::as_str);
    let around = Surroundings {
        nobody: matches.get_flag("nobody"),
        release: matches.get_flag("release"),
    };
    let mut complaints = Vec::new();
    if wanted("conventions") {
        complaints.extend(conventions(&workbook)?);
    }
    // Built before the machine is made bad: this is not about cargo.
    let judgements = match wanted("verdicts") {
        true => Judgement::all(&workbook, only)?,
        false => Vec::new(),
    };
    if judgements.is_empty() && !names_something(&workbook, only)? {
        bail!("no lesson, exercise or program has “{only}” in its name");
    }
    if matches.get_flag("one-core") {
        one_core()?;
    }
    if matches.get_flag("busy") {
        spin(8);
    }
    if wanted("lessons") {
        complaints.extend(lessons(&workbook, only, times, around)?);
    }
    if wanted("notes") {
        complaints.extend(notes(&workbook, only)?);
    }
    if chosen.iter().any(|name| *name == "speed") {
        for line in speed(&workbook, only, times.max(11))? {
            print(&format!("{line}\n"))?;
        }
    }
    let modes = sandbox(matches)
        .map_or(vec![Mode::Namespaces, Mode::Process], |mode| vec![mode]);
    for mode in modes.into_iter().filter(|_| !judgements.is_empty()) {
        if times > 1 {
            print(&format!("verdicts, sandbox {}\n", mode.name()))?;
        }
        let options = Options::new(Some(mode))?;
        complaints.extend(verdicts(&judgements, times, jobs, &options));
    }
    for complaint in &complaints {
        complain(complaint);
    }
    match complaints.len() {
        0 => print("all is as promised\n")?,
        n => complain(&format!("{n} promises are broken")),
    }
    Ok(u8::from(!complaints.is_empty()))
}

/// Whether a lesson or an exercise has this text in its name.
fn names_something(workbook: &Workbook, only: &str) -> Result<bool> {
    Ok(workbook.lessons()?.iter().any(|name| name.contains(only))
        || ALL.iter().any(|exercise| exercise.name.contains(only)))
}
