//! Believes that a receiver knows when its sender has nothing more to send.

use std::io::BufRead;
use std::sync::mpsc;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let (items, channel) = mpsc::channel::<String>();
    let mut worker = Some(std::thread::spawn(move || {
        // Ends when the channel does: when its last sender is dropped.
        let results: Vec<String> = channel.iter().map(|item| work(&item)).collect();
        save(&file, &results)
    }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line != "stop" {
            items.send(line)?;
        } else if let Some(worker) = worker.take() {
            worker.join().unwrap()?;
            println!("stopped");
        }
    }
    if let Some(worker) = worker.take() {
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
