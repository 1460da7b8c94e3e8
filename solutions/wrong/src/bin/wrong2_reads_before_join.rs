//! Believes that a result is there as soon as its thread has been started.

use anyhow::Context;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    let mut threads = Vec::new();
    let mut total = 0;
    for file in std::env::args().skip(1) {
        let result = Arc::new(AtomicU64::new(0));
        let (shared, path) = (Arc::clone(&result), file.clone());
        threads.push(std::thread::spawn(move || {
            shared.store(sum(&path).unwrap_or(0), Ordering::Relaxed);
        }));
        total += result.load(Ordering::Relaxed);
        println!("{file} {}", result.load(Ordering::Relaxed));
    }
    println!("total {total}");
    for thread in threads {
        let _ = thread.join();
    }
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
