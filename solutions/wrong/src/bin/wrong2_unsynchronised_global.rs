//! Believes that threads can add to a global variable as they like.

use anyhow::Context;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// Read and written in two steps, as C's `total = total + n` does.
static TOTAL: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let threads: Vec<_> = std::env::args()
        .skip(1)
        .map(|file| {
            let path = file.clone();
            let thread = std::thread::spawn(move || -> anyhow::Result<u64> {
                let sum = sum(&path)?;
                TOTAL.store(TOTAL.load(Ordering::Relaxed) + sum, Ordering::Relaxed);
                Ok(sum)
            });
            (file, thread)
        })
        .collect();
    let mut failed = false;
    for (file, thread) in threads {
        match thread.join() {
            Ok(Ok(sum)) => println!("{file} {sum}"),
            _ => {
                println!("{file} failed");
                failed = true;
            }
        }
    }
    if failed {
        return ExitCode::FAILURE;
    }
    println!("total {}", TOTAL.load(Ordering::Relaxed));
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
