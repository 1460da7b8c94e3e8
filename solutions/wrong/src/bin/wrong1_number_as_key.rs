//! Believes that a number tells which thread is which, though it may be given twice.

use anyhow::Context;
use std::collections::HashMap;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    let threads: HashMap<_, _> = numbers
        .into_iter()
        .map(|number| (number, std::thread::spawn(move || visit(number))))
        .collect();
    let count = threads.len();
    for thread in threads.into_values() {
        thread.join().expect("a visit does not panic");
    }
    println!("joined {count}");
    Ok(())
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
