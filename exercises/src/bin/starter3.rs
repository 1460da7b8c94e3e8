//! Exercise 3: ten thousand short threads in flat memory
//!
//! Task: a service that runs each job in a thread of its own and can go on like
//! that for ever.
//!
//! Contract: standard input has one word a line.
//! - A file's name is a job: start a new thread for it, which calls `job`. A
//!   job that takes long (its file may be a pipe without data) does not hold up
//!   the jobs after it.
//! - `wait`: once all jobs so far are done, print `idle`.
//! - At the end of the input wait for all jobs, then end with status 0.
//!
//! Checked: that jobs overlap, ten at once; that `idle` comes neither too early
//! nor never, whichever job ends last; that the address space (VmSize) is as
//! large after 10,000 jobs as after 500, though one slow job is at work all that
//! time.
//!
//! Given: `job`, the reading of the lines. Use std::thread, or pthreads through
//! libc.
//! Lesson: 04_detach. Try it: cargo xtask run exercise3, then type Cargo.toml
//! and wait.

use std::io::BufRead;

fn main() -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "wait" => {
                // Wait for the jobs first.
                println!("idle");
            }
            name => {
                // Call this in a new thread.
                job(name);
            }
        }
    }
    Ok(())
}

/// Reads a file to its end and prints its name and length.
fn job(name: &str) {
    match std::fs::read(name) {
        Ok(content) => println!("{name}: {} bytes", content.len()),
        Err(e) => println!("{name}: {e}"),
    }
}
