//! Believes that threads which wait for each other are one worker.

use anyhow::{Context, anyhow};
use std::io::BufRead;
use std::thread::JoinHandle;

/// The thread of the last item so far; it returns all results.
type Last = Option<JoinHandle<Vec<String>>>;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: exercise4 FILE")?;
    let (mut last, mut stopped): (Last, bool) = (None, false);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            stop(last.take(), &file)?;
            stopped = true;
        } else {
            let before = last.take();
            last = Some(std::thread::Builder::new().spawn(move || {
                let mut results = results_of(before);
                results.push(work(&line));
                results
            })?);
        }
    }
    if !stopped {
        stop(last.take(), &file)?;
    }
    println!("bye");
    Ok(())
}

fn results_of(last: Last) -> Vec<String> {
    last.map(|thread| thread.join().expect("no thread panics")).unwrap_or_default()
}

fn stop(last: Last, file: &str) -> anyhow::Result<()> {
    let file = file.to_owned();
    let saving =
        std::thread::Builder::new().spawn(move || save(&file, &results_of(last)))?;
    saving.join().map_err(|_| anyhow!("a thread panicked"))??;
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
