//! Believes that the end of a channel is an error, to be handed on with `?`.

use std::io::BufRead;
use std::sync::mpsc;
use std::thread::JoinHandle;

struct Worker {
    items: mpsc::Sender<String>,
    thread: JoinHandle<anyhow::Result<()>>,
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
        let mut results = Vec::new();
        loop {
            let item = channel.recv()?;
            if item.is_empty() {
                break;
            }
            results.push(work(&item));
        }
        save(&file, &results)?;
        Ok(())
    });
    Worker { items, thread }
}

fn stop(worker: Option<Worker>) {
    let Some(worker) = worker else { return };
    drop(worker.items);
    // The error is in the result that nobody looks at.
    let _ = worker.thread.join();
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
