//! Believes that a flag is enough to stop a thread.

use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let (items, channel) = mpsc::channel::<String>();
    let mut worker = Some(std::thread::spawn(move || {
        let mut results = Vec::new();
        while !STOP.load(Ordering::Acquire) {
            // While it waits here nobody looks at the flag.
            let Ok(item) = channel.recv() else { break };
            results.push(work(&item));
        }
        results.extend(channel.try_iter().map(|item| work(&item)));
        save(&file, &results)
    }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line != "stop" {
            items.send(line)?;
        } else if let Some(worker) = worker.take() {
            STOP.store(true, Ordering::Release);
            worker.join().unwrap()?;
            println!("stopped");
        }
    }
    if let Some(worker) = worker.take() {
        STOP.store(true, Ordering::Release);
        worker.join().unwrap()?;
        println!("stopped");
    }
    println!("bye");
    Ok(())
}

/// Reads a file to its end; prints and returns its name and length.
fn work(name: &str) -> String {
    let result = match std::fs::read(name) {
        Ok(content) => format!("{name}: {} bytes", content.len()),
        Err(e) => format!("{name}: {e}"),
    };
    println!("{result}");
    result
}

/// Writes all results to the file, one a line.
fn save(file: &str, results: &[String]) -> std::io::Result<()> {
    let lines: String = results.iter().map(|result| format!("{result}\n")).collect();
    std::fs::write(file, lines)
}
