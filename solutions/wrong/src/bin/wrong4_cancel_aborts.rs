//! Believes that a thread of Rust can be cancelled as a thread of C can.

use std::io::BufRead;
use std::os::unix::thread::JoinHandleExt;
use std::sync::mpsc;

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let (items, channel) = mpsc::channel::<String>();
    let mut worker = Some(std::thread::spawn(move || {
        let results: Vec<String> = channel.iter().map(|item| work(&item)).collect();
        save(&file, &results)
    }));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line != "stop" {
            items.send(line)?;
        } else if let Some(worker) = worker.take() {
            // SAFETY: none: this is the mistake. The thread has not been joined, but
            // it was not made to be unwound from outside.
            unsafe { pthread_cancel(worker.as_pthread_t()) };
            let _ = worker.join();
            println!("stopped");
        }
    }
    println!("bye");
    Ok(())
}

unsafe extern "C-unwind" {
    fn pthread_cancel(thread: libc::pthread_t) -> libc::c_int;
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
