//! Believes that the threads overlap although each is joined where it is started.

use anyhow::Context;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut total, mut failed) = (0, false);
    for file in std::env::args().skip(1) {
        let path = file.clone();
        match std::thread::spawn(move || sum(&path)).join() {
            Ok(Ok(sum)) => {
                println!("{file} {sum}");
                total += sum;
            }
            _ => {
                println!("{file} failed");
                failed = true;
            }
        }
    }
    if failed {
        return ExitCode::FAILURE;
    }
    println!("total {total}");
    ExitCode::SUCCESS
}

/// The sum of a file's numbers, one a line.
fn sum(file: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {file}"))?;
    let mut sum = 0;
    for line in text.lines() {
        sum += line
            .parse::<u64>()
            .with_context(|| format!("{line} is not a number"))?;
    }
    Ok(sum)
}
