//! Believes that a guard in the head of an `if let` is gone when its block begins.

use anyhow::Context;
use std::sync::{Arc, Mutex};

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    let count = numbers.len();
    let queue = Arc::new(Mutex::new(numbers));
    let visit_next = |queue: Arc<Mutex<Vec<u64>>>| {
        if let Some(number) = queue.lock().expect("no holder panics").pop() {
            visit(number);
        }
    };
    let threads: Vec<_> = (0..count)
        .map(|_| Arc::clone(&queue))
        .map(|queue| std::thread::spawn(move || visit_next(queue)))
        .collect();
    for thread in threads {
        // A panic in the thread is not to be lost.
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
