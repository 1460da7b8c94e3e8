//! Believes that detached threads finish their work after main has returned.

use std::io::BufRead;
use std::sync::atomic::{AtomicUsize, Ordering};

static RUNNING: AtomicUsize = AtomicUsize::new(0);

fn main() -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            while RUNNING.load(Ordering::Acquire) > 0 {
                std::thread::yield_now();
            }
            println!("idle");
            continue;
        }
        RUNNING.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            job(&line);
            RUNNING.fetch_sub(1, Ordering::Release);
        });
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
