//! Believes that exit ends the thread that calls it.

use std::io::BufRead;
use std::sync::mpsc;
use std::thread::JoinHandle;

struct Worker {
    items: mpsc::Sender<String>,
    thread: JoinHandle<()>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let mut worker = Some(start(file));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            stop(worker.take());
        } else if let Some(worker) = &worker {
            worker.items.send(line)?;
        }
    }
    stop(worker.take());
    println!("bye");
    Ok(())
}

fn start(file: String) -> Worker {
    let (items, channel) = mpsc::channel::<String>();
    let thread = std::thread::spawn(move || {
        let results: Vec<String> = channel.iter().map(|item| work(&item)).collect();
        let saved = save(&file, &results);
        // The end of this thread, it thinks.
        std::process::exit(if saved.is_ok() { 0 } else { 1 });
    });
    Worker { items, thread }
}

fn stop(worker: Option<Worker>) {
    let Some(worker) = worker else { return };
    drop(worker.items);
    worker.thread.join().unwrap();
    println!("stopped");
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
