//! Believes that to stop means to begin nothing more, whatever was handed over.

use std::io::BufRead;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

static STOP: AtomicBool = AtomicBool::new(false);

struct Worker {
    items: mpsc::Sender<String>,
    thread: JoinHandle<std::io::Result<()>>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let mut worker = Some(start(file));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            stop(worker.take())?;
        } else if let Some(worker) = &worker {
            worker.items.send(line)?;
        }
    }
    stop(worker.take())?;
    println!("bye");
    Ok(())
}

fn start(file: String) -> Worker {
    let (items, channel) = mpsc::channel::<String>();
    let thread = std::thread::spawn(move || {
        let mut results = Vec::new();
        for item in channel {
            if STOP.load(Ordering::Acquire) {
                break;
            }
            results.push(work(&item));
        }
        save(&file, &results)
    });
    Worker { items, thread }
}

fn stop(worker: Option<Worker>) -> std::io::Result<()> {
    let Some(worker) = worker else { return Ok(()) };
    STOP.store(true, Ordering::Release);
    // Wakes the worker if it waits.
    drop(worker.items);
    worker.thread.join().unwrap()?;
    println!("stopped");
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
