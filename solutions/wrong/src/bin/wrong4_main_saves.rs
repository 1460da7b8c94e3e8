//! Believes that results have to be saved by whoever has them in the end.

use anyhow::{Context, anyhow};
use std::io::BufRead;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// The thread that works, and the way to hand it items.
struct Worker {
    items: mpsc::Sender<String>,
    thread: JoinHandle<Vec<String>>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: exercise4 FILE")?;
    let mut worker = Some(Worker::start()?);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            stop(worker.take(), &file)?;
        } else if let Some(worker) = &worker {
            worker.items.send(line)?;
        }
    }
    stop(worker.take(), &file)?;
    println!("bye");
    Ok(())
}

fn stop(worker: Option<Worker>, file: &str) -> anyhow::Result<()> {
    // None: it was stopped before.
    let Some(worker) = worker else { return Ok(()) };
    // The channel ends, for the worker only after the items that are still in it.
    drop(worker.items);
    let results =
        worker.thread.join().map_err(|_| anyhow!("the worker panicked"))?;
    save(file, &results)?;
    println!("stopped");
    Ok(())
}

impl Worker {
    fn start() -> std::io::Result<Worker> {
        let (items, channel) = mpsc::channel::<String>();
        let thread = std::thread::Builder::new()
            .spawn(move || channel.iter().map(|item| work(&item)).collect())?;
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
