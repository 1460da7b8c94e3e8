//! Believes that 0 can say that there is no sum.

use anyhow::Context;
use std::process::ExitCode;

fn main() -> ExitCode {
    let threads: Vec<_> = std::env::args()
        .skip(1)
        .map(|file| {
            (file.clone(), std::thread::spawn(move || sum(&file).unwrap_or(0)))
        })
        .collect();
    let mut total = Some(0);
    for (file, thread) in threads {
        match thread.join().unwrap_or(0) {
            0 => {
                println!("{file} failed");
                total = None;
            }
            sum => {
                println!("{file} {sum}");
                total = total.map(|total| total + sum);
            }
        }
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
