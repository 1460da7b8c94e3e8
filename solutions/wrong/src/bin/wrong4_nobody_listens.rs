//! Believes that main has to wait for each item before it reads on.

use std::io::BufRead;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let mut results = Vec::new();
    let mut stopped = false;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            save(&file, &results)?;
            println!("stopped");
            stopped = true;
        } else {
            results.push(std::thread::spawn(move || work(&line)).join().unwrap());
        }
    }
    if !stopped {
        save(&file, &results)?;
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
