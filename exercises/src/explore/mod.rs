//! Trying the orders in which threads can run.
//!
//! Whether a program with locks is right must not be left to luck. Here its threads
//! are coroutines of the crate `shuttle`, which run one at a time and change places
//! only where it can matter: before they lock, notify, post or touch an atomic, and
//! where they have to wait. At each such crossroads somebody has to go next; a
//! `search` tries the possibilities one after another.
//!
//! - `scenario`: a few threads that use the learner's type, and what they may
//!   expect of it.
//! - `world`: one run of a scenario: who can go on, who waits for what, and what
//!   has happened.
//! - `sync`: the locks, which tell the world what the threads do with them.
//! - `search`: which runs are tried, in which order.
//! - `story`: a run told in words.
//!
//! Nothing here depends on time or chance, so the answer is the same every time.
//! Memory is sequentially consistent in this world: what a weaker memory order
//! allows is not explored.

pub mod scenario;
mod search;
mod story;
pub mod sync;
mod world;

use anyhow::{Context, Result};
use scenario::Scenario;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

/// The `main` of a program that is built for exploring. Its arguments:
///
/// - `explore`: tries all scenarios. Standard input has one line, a word; each line
///   of the answer begins with it, so that whoever asked knows this answer from what
///   the learner's code prints.
/// - `replay SCHEDULE`: runs that one schedule of an earlier answer again and tells
///   it; what the learner's code prints is shown too.
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["explore"] => explore(scenarios),
        ["replay", schedule] => replay(scenarios, schedule),
        _ => Err(anyhow::anyhow!("use: explore, or: replay SCHEDULE")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::from(2)
        }
    }
}

fn explore(scenarios: &[Scenario]) -> Result<()> {
    let mut word = String::new();
    std::io::stdin().read_line(&mut word)?;
    let word = word.trim();
    let silence = Silence::begin()?;
    let mut runs = 0;
    let mut answer = String::new();
    let all = || scenarios.iter().enumerate();
    let searches =
        all().map(|each| (each, false)).chain(all().map(|each| (each, true)));
    for ((index, scenario), spurious) in searches {
        let searched = search::search(scenario, spurious);
        runs += searched.runs;
        if let Some(told) = searched.failed {
            answer += &format!("{word} failed {}\n", told.name);
            answer += &format!("{word} scenario {}\n", scenario.title);
            for line in told.story {
                answer += &format!("{word} story {line}\n");
            }
            answer += &format!("{word} replay {}:{}\n", index + 1, told.schedule);
            break;
        }
    }
    if answer.is_empty() {
        answer = format!("{word} passed {runs}\n");
    }
    let mut stdout = silence.end()?;
    Ok(stdout.write_all(answer.as_bytes())?)
}

fn replay(scenarios: &[Scenario], schedule: &str) -> Result<()> {
    let unknown = || format!("no such schedule: {schedule}");
    let (number, choices) = schedule.split_once(':').with_context(unknown)?;
    let index = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let scenario =
        index.and_then(|index| scenarios.get(index)).with_context(unknown)?;
    let (spurious, choices) = match choices.strip_prefix(story::SPURIOUS) {
        Some(choices) => (true, choices),
        None => (false, choices),
    };
    let digits: Option<Vec<usize>> = choices
        .chars()
        .map(|digit| digit.to_digit(10).map(|digit| digit as usize))
        .collect();
    let run = search::replay(scenario, digits.with_context(unknown)?, spurious);
    println!("With {}:", scenario.title);
    match run {
        Some(told) => told.story.iter().for_each(|line| println!("{line}")),
        None => println!("Nothing goes wrong in this order any more."),
    }
    Ok(())
}

/// Until it ends nothing is printed: the learner's code would, thousands of times.
struct Silence {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Silence {
    fn begin() -> Result<Silence> {
        let silence = Silence {
            stdout: std::io::stdout().as_fd().try_clone_to_owned()?,
            stderr: std::io::stderr().as_fd().try_clone_to_owned()?,
        };
        // Where there is no /dev/null the answer is found among what is printed.
        if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
            nix::unistd::dup2_stdout(&nowhere)?;
            nix::unistd::dup2_stderr(&nowhere)?;
        }
        Ok(silence)
    }

    /// Ends it. Returns standard output, on which nothing has been printed.
    fn end(self) -> Result<File> {
        nix::unistd::dup2_stderr(&self.stderr)?;
        Ok(File::from(self.stdout))
    }
}
