//! The commands, one module each, and what they share: how to print, and how to fail.
//!
//! Exit status: 0 all is well, 1 an exercise does not pass, 2 wrong use or a machine that cannot.

mod check;
mod completions;
mod hint;
mod list;
mod reset;
mod run;
mod solution;
mod start;
mod verify;
mod walk;

use crate::cage::Mode;
use crate::exercises::Exercise;
use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lessons::screen::{width, wrap};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Reads the command line and runs the command.
pub fn run() -> ExitCode {
    let matches = match cli().try_get_matches() {
        Ok(matches) => matches,
        Err(e) => return help_or_complaint(&e),
    };
    let result = match matches.subcommand() {
        None => list::overview(),
        Some(("list", _)) => list::list(),
        Some(("start", m)) => start::run(&one(m)),
        Some(("run", m)) => run::run(&one(m), &rest(m)),
        Some(("check", m)) => check::run(m),
        Some(("hint", m)) => hint::run(&one(m)),
        Some(("solution", m)) => solution::run(&one(m), m.get_flag("spoil")),
        Some(("reset", m)) => reset::run(&one(m)),
        Some(("walk", m)) => walk::run(&one(m), &rest(m)),
        Some(("verify", m)) => verify::run(m),
        Some(("completions", m)) => completions::run(m),
        Some((name, _)) => Err(anyhow::anyhow!("{name} is not a command")),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(e) => give_up(&e),
    }
}

/// The end of a command that cannot do its work: one sentence says why.
fn give_up(error: &anyhow::Error) -> ExitCode {
    let text = format!("{error:#}");
    complain(&match std::io::stderr().is_terminal() {
        true => wrap(&text, 0),
        false => text,
    });
    ExitCode::from(2)
}

/// What clap says: help if it was asked for, or what is wrong with the command line.
fn help_or_complaint(said: &clap::Error) -> ExitCode {
    let text = fit(&said.render().to_string(), &said.render().ansi().to_string());
    if said.use_stderr() {
        complain(text.trim_end());
        return ExitCode::from(2);
    }
    match print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => give_up(&e),
    }
}

/// The coloured text if it fits the terminal; else the plain one, wrapped below its
/// last column.
fn fit(plain: &str, coloured: &str) -> String {
    let fits = |line: &str| line.chars().count() <= width();
    if plain.lines().all(fits) {
        return coloured.to_owned();
    }
    let mut text = String::new();
    for line in plain.lines() {
        let margin = line.len() - line.trim_start().len();
        let column = line.rfind("  ").map_or(margin, |gap| gap + 2);
        let (label, rest) = line.split_at(column);
        if column + 20 > width() {
            let label = label.trim_end();
            text.push_str(&format!("{label}\n{:10}{}\n", "", wrap(rest, 10)));
            continue;
        }
        text.push_str(&match fits(line) {
            true => format!("{line}\n"),
            false => format!("{label}{}\n", wrap(rest, column)),
        });
    }
    text
}

/// The command line.
pub fn cli() -> Command {
    let name = |help: &'static str| {
        Arg::new("name").required(true).value_name("NAME").help(help)
    };
    let exercise = || name("exercise3, 3, or the path of its file");
    let rest = || {
        Arg::new("args")
            .value_name("ARGS")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
    };
    Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .about("The workbook's contents, exercises and walkthroughs")
        .subcommand(
            Command::new("list")
                .about("All lessons and exercises, with your progress"),
        )
        .subcommand(
            Command::new("start")
                .about("Puts the starter where you edit it")
                .arg(exercise()),
        )
        .subcommand(
            Command::new("run")
                .about("Builds and runs your program")
                .arg(exercise())
                .arg(rest().help("What the program is given")),
        )
        .subcommand(check::cli())
        .subcommand(
            Command::new("hint")
                .about("Shows hints, one more each time")
                .arg(exercise()),
        )
        .subcommand(
            Command::new("solution")
                .about("Shows the reference answer, and how yours differs")
                .arg(exercise())
                .arg(
                    Arg::new("spoil")
                        .long("spoil")
                        .action(ArgAction::SetTrue)
                        .help("Also before yours has passed"),
                ),
        )
        .subcommand(
            Command::new("reset")
                .about("Puts the starter back; your file is kept as a backup")
                .arg(exercise()),
        )
        .subcommand(
            Command::new("walk")
                .about("Takes a class through a lesson, step by step")
                .arg(name("04_detach, 4, or detach"))
                .arg(rest().help("What the lesson is given")),
        )
        .subcommand(verify::cli())
        .subcommand(completions::cli())
}

/// The option that chooses the sandbox.
fn sandbox_option() -> Arg {
    Arg::new("sandbox")
        .long("sandbox")
        .value_name("MODE")
        .value_parser(Mode::NAMES)
        .hide_possible_values(true)
        .help("namespaces or process; without it the best there is")
}

fn sandbox(matches: &ArgMatches) -> Option<Mode> {
    matches.get_one::<String>("sandbox").and_then(|name| Mode::from_name(name))
}

fn one(matches: &ArgMatches) -> String {
    matches.get_one::<String>("name").cloned().unwrap_or_default()
}

fn rest(matches: &ArgMatches) -> Vec<String> {
    matches.get_many::<String>("args").into_iter().flatten().cloned().collect()
}

/// Prints to standard output; colours go to terminals only.
///
/// # Errors
/// Nobody reads any more, or the disk behind it is full.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("the output could not be written")
}

/// One labelled line, wrapped; the lines of `value` stay apart.
pub fn labelled(label: &str, value: &str) -> String {
    const COLUMN: usize = 11;
    let mut text = String::new();
    for (index, line) in value.lines().enumerate() {
        let label = if index == 0 { label } else { "" };
        let longest = line.split(' ').map(|word| word.chars().count()).max();
        // A path that has no room beside its label stands below it.
        if COLUMN + longest.unwrap_or(0) > width() {
            if index == 0 {
                text.push_str(&format!("  {}\n", dim(label)));
            }
            text.push_str(&format!("    {}\n", wrap(line, 4)));
        } else {
            let label = dim(&format!("{label:<9}"));
            text.push_str(&format!("  {label}{}\n", wrap(line, COLUMN)));
        }
    }
    text
}

/// An exercise's name and what it is about.
pub fn title(exercise: &Exercise) -> String {
    let name = exercise.name;
    format!("{}   {}\n", bold(name), wrap(exercise.title, name.len() + 3))
}

/// Prints a line to standard error, if anybody listens there.
pub fn complain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

pub fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}

pub fn green(text: &str) -> String {
    format!("\x1b[32m{text}\x1b[0m")
}

pub fn red(text: &str) -> String {
    format!("\x1b[31m{text}\x1b[0m")
}

pub fn dim(text: &str) -> String {
    format!("\x1b[2m{text}\x1b[0m")
}
