//! Believes that a thread has to be joined where it is started.

use std::io::BufRead;

fn main() -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            println!("idle");
        } else {
            std::thread::spawn(move || job(&line)).join().unwrap();
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
