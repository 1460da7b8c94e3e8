//! Believes that threads which have been started will finish, whatever main does.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    for &number in &numbers {
        std::thread::spawn(move || visit(number));
    }
    println!("joined {}", numbers.len());
    Ok(())
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
