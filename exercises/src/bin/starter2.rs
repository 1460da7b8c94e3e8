//! Exercise 2: sum parts in threads, results by join
//!
//! Task: sum the numbers of several files, each file in a thread of its own.
//! Each thread returns its sum; the main thread gets it by joining.
//!
//! Contract: `exercise2 FILE...`
//! - For each file a thread of its own calls `sum`; all of them at the same
//!   time.
//! - The main thread prints one line for each file, in the order of the command
//!   line: `FILE SUM`, or `FILE failed` if its sum cannot be had (`sum` fails).
//! - If none has failed, a last line `total SUM`, and status 0. Else no such
//!   line, and status 1.
//!
//! Checked: that the threads overlap; that nothing is printed of a sum before
//! its thread has ended; the order of the lines; what happens with a file that
//! is missing, is empty, is named twice or holds something else than numbers;
//! that the total is right whatever order the threads' instructions run in.
//!
//! Given: `sum`. Use std::thread, or pthreads through libc.
//! Lesson: 03_join. Try it: cargo xtask run exercise2 FILE FILE, with files of
//! your own.

use anyhow::Context;
use std::process::ExitCode;

fn main() -> ExitCode {
    for file in std::env::args().skip(1) {
        // Call this in a new thread.
        match sum(&file) {
            Ok(sum) => println!("{file} {sum}"),
            Err(_) => println!("{file} failed"),
        }
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
