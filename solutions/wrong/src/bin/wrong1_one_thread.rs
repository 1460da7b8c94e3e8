//! Believes that one thread which goes through all numbers is as good as a thread for each.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    let count = numbers.len();
    let thread = std::thread::spawn(move || {
        for number in numbers {
            visit(number);
        }
    });
    thread.join().expect("a visit does not panic");
    println!("joined {count}");
    Ok(())
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
