//! Believes that a list of numbers is a set of numbers.

use anyhow::Context;
use std::collections::BTreeSet;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<BTreeSet<u64>>>()?;
    let count = numbers.len();
    let threads: Vec<_> = numbers
        .into_iter()
        .map(|number| std::thread::spawn(move || visit(number)))
        .collect();
    for thread in threads {
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
