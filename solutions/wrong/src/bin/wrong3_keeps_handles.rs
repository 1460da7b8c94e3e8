//! Believes that it is enough to join the threads at the end.

use std::io::BufRead;

fn main() -> anyhow::Result<()> {
    let mut handles = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            join(&mut handles);
            println!("idle");
        } else {
            handles.push(std::thread::spawn(move || job(&line)));
        }
    }
    join(&mut handles);
    Ok(())
}

fn join(handles: &mut Vec<std::thread::JoinHandle<()>>) {
    for handle in handles.drain(..) {
        handle.join().unwrap();
    }
}

/// Reads a file to its end and prints its name and length.
fn job(name: &str) {
    match std::fs::read(name) {
        Ok(content) => println!("{name}: {} bytes", content.len()),
        Err(e) => println!("{name}: {e}"),
    }
}
