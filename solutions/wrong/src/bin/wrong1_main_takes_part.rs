//! Believes that the main thread may as well do the last number's work itself.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    let Some((&last, others)) = numbers.split_last() else {
        println!("joined 0");
        return Ok(());
    };
    let threads: Vec<_> = others
        .iter()
        .map(|&number| std::thread::spawn(move || visit(number)))
        .collect();
    visit(last);
    for thread in threads {
        thread.join().expect("a visit does not panic");
    }
    println!("joined {}", numbers.len());
    Ok(())
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
