//! Believes that the lock is let go as soon as the item has been taken out.

use anyhow::{Context, anyhow};
use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Items; the channel says that there is one more, and ends at `stop`.
type Queue = Arc<Mutex<VecDeque<String>>>;

/// The thread that works, and the way to hand it items.
struct Worker {
    queue: Queue,
    more: mpsc::Sender<()>,
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
            let mut queue =
                worker.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back(line);
            worker.more.send(())?;
        }
    }
    stop(worker.take())?;
    println!("bye");
    Ok(())
}

fn stop(worker: Option<Worker>) -> anyhow::Result<()> {
    // None: it was stopped before.
    let Some(worker) = worker else { return Ok(()) };
    drop(worker.more);
    worker.thread.join().map_err(|_| anyhow!("the worker panicked"))??;
    println!("stopped");
    Ok(())
}

impl Worker {
    fn start(file: String) -> std::io::Result<Worker> {
        let (more, items) = mpsc::channel::<()>();
        let queue = Queue::default();
        let taken = Arc::clone(&queue);
        let thread = std::thread::Builder::new().spawn(move || {
            let mut results = Vec::new();
            for () in items {
                match taken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
                {
                    Some(item) => results.push(work(&item)),
                    None => break,
                }
            }
            save(&file, &results)
        })?;
        Ok(Worker { queue, more, thread })
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
