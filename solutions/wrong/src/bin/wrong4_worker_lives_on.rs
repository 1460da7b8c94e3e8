//! Believes that a worker which has said that it is done has ended.

use anyhow::Context;
use std::io::BufRead;
use std::sync::mpsc;

/// The way to hand items to the worker; nothing stands for `stop`.
struct Worker {
    items: mpsc::Sender<Option<String>>,
    saved: mpsc::Receiver<()>,
}

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: exercise4 FILE")?;
    let worker = Worker::start(file)?;
    let mut stopped = false;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            stop(&worker)?;
            stopped = true;
        } else {
            worker.items.send(Some(line))?;
        }
    }
    if !stopped {
        stop(&worker)?;
    }
    println!("bye");
    Ok(())
}

fn stop(worker: &Worker) -> anyhow::Result<()> {
    worker.items.send(None)?;
    worker.saved.recv()?;
    println!("stopped");
    Ok(())
}

impl Worker {
    fn start(file: String) -> std::io::Result<Worker> {
        let (items, channel) = mpsc::channel::<Option<String>>();
        let (done, saved) = mpsc::channel();
        std::thread::Builder::new().spawn(move || -> anyhow::Result<()> {
            let mut results = Vec::new();
            for item in channel {
                match item {
                    Some(item) => results.push(work(&item)),
                    None => {
                        save(&file, &results)?;
                        done.send(())?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(Worker { items, saved })
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
