//! Believes that the worker takes an item as soon as main hands it over.

use anyhow::{Context, anyhow};
use std::io::BufRead;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// The thread that works, and the way to hand it items.
struct Worker {
    items: mpsc::SyncSender<String>,
    thread: JoinHandle<std::io::Result<()>>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: exercise4 FILE")?;
    let mut worker = Some(Worker::start(file)?);
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

fn stop(worker: Option<Worker>) -> anyhow::Result<()> {
    // None: it was stopped before.
    let Some(worker) = worker else { return Ok(()) };
    // The channel ends, for the worker only after the items that are still in it.
    drop(worker.items);
    worker.thread.join().map_err(|_| anyhow!("the worker panicked"))??;
    println!("stopped");
    Ok(())
}

impl Worker {
    fn start(file: String) -> std::io::Result<Worker> {
        let (items, channel) = mpsc::sync_channel::<String>(1);
        let thread = std::thread::Builder::new().spawn(move || {
            let results: Vec<String> =
                channel.iter().map(|item| work(&item)).collect();
            save(&file, &results)
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
