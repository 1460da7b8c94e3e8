//! Believes that each item needs a thread of its own.

use std::io::BufRead;
use std::thread::JoinHandle;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let mut workers = Some(Vec::new());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            stop(workers.take(), &file)?;
        } else if let Some(workers) = &mut workers {
            workers.push(std::thread::spawn(move || work(&line)));
        }
    }
    stop(workers.take(), &file)?;
    println!("bye");
    Ok(())
}

fn stop(
    workers: Option<Vec<JoinHandle<String>>>,
    file: &str,
) -> std::io::Result<()> {
    let Some(workers) = workers else { return Ok(()) };
    let results: Vec<String> =
        workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    save(file, &results)?;
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
