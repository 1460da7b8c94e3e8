//! Believes that the worker has stopped when it says that it is going to.

use std::io::BufRead;
use std::sync::mpsc;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let (items, channel) = mpsc::channel::<String>();
    let (answer, stops) = mpsc::channel();
    std::thread::spawn(move || {
        let results: Vec<String> = channel.iter().map(|item| work(&item)).collect();
        answer.send(()).unwrap();
        save(&file, &results)
    });
    let mut items = Some(items);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            items = None;
            stops.recv()?;
            println!("stopped");
        } else if let Some(items) = &items {
            items.send(line)?;
        }
    }
    if items.take().is_some() {
        stops.recv()?;
        println!("stopped");
    }
    println!("bye");
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
