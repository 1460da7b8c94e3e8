//! Exercise 4: stop a worker cleanly, its last work saved
//!
//! Task: one worker thread does the work while main listens. Told to stop, the
//! worker finishes what it was given, saves all its results and ends; the
//! program lives on.
//!
//! Contract: `exercise4 FILE`; standard input has one word a line.
//! - A file's name is an item: main hands it to the worker and reads on; work
//!   that takes long (the file may be a pipe without data) does not hold main
//!   up. The worker calls `work` for one item after the other, in the order of
//!   the input, and keeps the results in memory.
//! - `stop`: the worker does the items that it was given before, in hand or not
//!   yet begun, calls `save` once with all results, and ends. main waits for
//!   that, then prints `stopped`. FILE may be a pipe too: saving can take long.
//!   No items come after `stop`.
//! - At the end of the input: if there was no `stop`, do now what it asks for.
//!   Then print `bye` and end with status 0.
//!
//! Checked: that main hears `stop` while the worker is at work and many items
//! wait for it; that a worker which waits for an item hears it too; that all
//! results are in FILE; that `stopped` and `bye` come after that.
//!
//! Given: `work`, `save`, the reading of the lines. Use std::thread, or
//! pthreads through libc. Lesson: 06_cancel. Try it: cargo xtask run exercise4
//! /tmp/results, then type Cargo.toml and stop.

use anyhow::Context;
use std::io::BufRead;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: exercise4 FILE")?;
    let mut results = Vec::new();
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "stop" => {
                // The worker should do this, and main wait for it.
                save(&file, &results)?;
                println!("stopped");
            }
            item => {
                // The worker should do this.
                results.push(work(item));
            }
        }
    }
    println!("bye");
    Ok(())
}

/// Reads a file to its end; prints and returns its name and length.
fn work(name: &str) -> String {
    let result = match std::fs::read(name) {
        Ok(content) => format!("{name}: {} bytes", content.len()),
        Err(e) => format!("{name}: {e}"),
    };
    println!("{result}");
    result
}

/// Writes all results to the file, one a line.
fn save(file: &str, results: &[String]) -> std::io::Result<()> {
    let lines: String = results.iter().map(|result| format!("{result}\n")).collect();
    std::fs::write(file, lines)
}
