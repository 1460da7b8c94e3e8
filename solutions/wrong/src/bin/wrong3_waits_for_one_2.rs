//! Believes that the thread that was started last ends last.

use std::io::BufRead;
use std::thread::JoinHandle;

fn main() -> anyhow::Result<()> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        // A finished thread whose handle is dropped is freed as well.
        threads.retain(|thread| !thread.is_finished());
        if line == "wait" {
            if let Some(thread) = threads.pop() {
                thread.join().expect("a job does not panic");
            }
            println!("idle");
            continue;
        }
        threads.push(std::thread::spawn(move || job(&line)));
    }
    for thread in threads {
        thread.join().expect("a job does not panic");
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
