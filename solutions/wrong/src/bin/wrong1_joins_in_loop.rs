//! Believes that threads run at the same time even if each is joined before the next is started.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    for &number in &numbers {
        std::thread::spawn(move || visit(number))
            .join()
            .expect("a visit does not panic");
    }
    println!("joined {}", numbers.len());
    Ok(())
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
