//! Believes that the threads end in the order in which they were started.

use anyhow::Context;
use std::process::ExitCode;

fn main() -> ExitCode {
    let threads: Vec<_> = std::env::args()
        .skip(1)
        .map(|file| {
            std::thread::spawn(move || {
                let sum = sum(&file);
                match &sum {
                    Ok(sum) => println!("{file} {sum}"),
                    Err(_) => println!("{file} failed"),
                }
                sum
            })
        })
        .collect();
    let mut total = Some(0);
    for thread in threads {
        total = match (total, thread.join()) {
            (Some(total), Ok(Ok(sum))) => Some(total + sum),
            _ => None,
        };
    }
    match total {
        Some(total) => {
            println!("total {total}");
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
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
