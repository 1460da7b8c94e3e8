//! Believes that a file's name tells which thread is which.

use anyhow::Context;
use std::collections::HashMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let threads: Vec<_> = files
        .iter()
        .map(|file| {
            (
                file.clone(),
                std::thread::spawn({
                    let file = file.clone();
                    move || sum(&file)
                }),
            )
        })
        .collect();
    let mut sums = HashMap::new();
    for (file, thread) in threads {
        sums.insert(file, thread.join().ok().and_then(Result::ok));
    }
    for file in &files {
        match sums[file] {
            Some(sum) => println!("{file} {sum}"),
            None => println!("{file} failed"),
        }
    }
    match sums.into_values().sum::<Option<u64>>() {
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
