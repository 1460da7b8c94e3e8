//! Believes that the results which are there at `stop` are all the results.

use std::io::BufRead;
use std::sync::{Mutex, mpsc};

static RESULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let (items, channel) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        for item in channel {
            let result = work(&item);
            RESULTS.lock().unwrap().push(result);
        }
    });
    let mut stopped = false;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            save(&file, &RESULTS.lock().unwrap())?;
            println!("stopped");
            stopped = true;
        } else {
            items.send(line)?;
        }
    }
    if !stopped {
        save(&file, &RESULTS.lock().unwrap())?;
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
