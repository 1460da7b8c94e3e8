//! Believes that saving once more at the end does no harm.

use anyhow::{Context, anyhow};
use std::io::BufRead;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// The thread that works, and the way to hand it items.
struct Worker {
    items: mpsc::Sender<String>,
    thread: JoinHandle<std::io::Result<Vec<String>>>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: exercise4 FILE")?;
    let mut worker = Some(Worker::start(file.clone())?);
    let mut results = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            results = stop(worker.take())?;
        } else if let Some(worker) = &worker {
            worker.items.send(line)?;
        }
    }
    if worker.is_some() {
        stop(worker.take())?;
    } else {
        save(&file, &results)?;
    }
    println!("bye");
    Ok(())
}

fn stop(worker: Option<Worker>) -> anyhow::Result<Vec<String>> {
    // None: it was stopped before.
    let Some(worker) = worker else { return Ok(Vec::new()) };
    // The channel ends, for the worker only after the items that are still in it.
    drop(worker.items);
    let results =
        worker.thread.join().map_err(|_| anyhow!("the worker panicked"))??;
    println!("stopped");
    Ok(results)
}

impl Worker {
    fn start(file: String) -> std::io::Result<Worker> {
        let (items, channel) = mpsc::channel::<String>();
        let thread = std::thread::Builder::new().spawn(move || {
            let results: Vec<String> =
                channel.iter().map(|item| work(&item)).collect();
            save(&file, &results)?;
            Ok(results)
        })?;
        Ok(Worker { items, thread })
    }
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
