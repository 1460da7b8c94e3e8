//! How long does a sandbox take to stand? `cargo run -p xtask --example sandbox_time
//! [TIMES]` measures from the judge's call to the first line of `main` of the judged
//! program.
//!
//! The judged program is this one: it prints the clock and ends, and the finding
//! that it earns quotes what it has printed.

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;
use xtask::cage::Mode;
use xtask::exercises::Exercise;
use xtask::judge::{Options, Program, judge};
use xtask::workbook::find_exercise;

fn main() -> Result<()> {
    let now = now()?;
    let mut args = std::env::args();
    // The name under which programs are judged.
    if args.next().is_some_and(|name| name == "exercise") {
        println!("{}", now.as_nanos());
        return Ok(());
    }
    let times = args.next().map_or(Ok(200), |times| times.parse())?;
    println!("{times} times from the judge's call to the program's main");
    for mode in [Mode::Namespaces, Mode::Process] {
        let mut took =
            (0..times).map(|_| once(mode)).collect::<Result<Vec<Duration>>>()?;
        took.sort_unstable();
        let part = |percent: usize| took[(took.len() - 1) * percent / 100];
        println!(
            "{:<11} least {:.1?}   half {:.1?}   nine of ten {:.1?}   most {:.1?}",
            mode.name(),
            part(0),
            part(50),
            part(90),
            part(100)
        );
    }
    Ok(())
}

fn once(mode: Mode) -> Result<Duration> {
    let this = std::env::current_exe()?;
    let xtask = this.with_file_name("../xtask");
    let options = Options { xtask, ..Options::new(Some(mode))? };
    let program = Program { plain: this, explored: None };
    // One case alone: several would get in each other's way.
    let found = find_exercise("exercise3")?;
    let one = Exercise { cases: &found.cases[..1], ..*found };
    let start = now()?;
    let verdict = judge(&one, &program, &options).verdict;
    let finding = verdict.findings.first().context("it must not pass")?;
    let printed = finding.seen.split('“').nth(1).context(finding.seen.clone())?;
    let clock: String = printed.chars().take_while(char::is_ascii_digit).collect();
    Ok(Duration::from_nanos(clock.parse()?).saturating_sub(start))
}

/// The same clock for all processes, whatever their namespaces.
fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}
