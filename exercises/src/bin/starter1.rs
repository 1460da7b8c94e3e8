//! Exercise 1: hand N numbers to N threads
//!
//! Task: start one thread for each number on the command line and hand it its
//! own number.
//!
//! Contract: `exercise1 NUMBER...`
//! - For each number a thread of its own is started, which calls `visit` with
//!   it. `visit` lasts until standard input ends, so that all threads are there
//!   at the same time.
//! - When all threads have ended the main thread prints `joined N`, with their
//!   number, and the program ends with status 0.
//!
//! Checked: that every number arrives, and one that is given twice arrives
//! twice, even if no thread gets to run before the main thread has started the
//! last one; that all threads are alive together, beside the main thread; that
//! none is left out at the end.
//!
//! Given: `visit`, the reading of the numbers. Use std::thread, or pthreads
//! through libc.
//! Lesson: 02_params. Try it: cargo xtask run exercise1 5 6 7, then press
//! Ctrl-D.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    for &number in &numbers {
        // Call this in a new thread.
        visit(number);
    }
    println!("joined {}", numbers.len());
    Ok(())
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
