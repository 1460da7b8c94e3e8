//! Believes that who is woken need not look again.

use std::io::BufRead;
use std::sync::{Arc, Condvar, Mutex};

/// How many jobs are running, and a way to wait until none is.
#[derive(Default)]
struct Jobs {
    running: Mutex<usize>,
    none_left: Condvar,
}

fn main() -> anyhow::Result<()> {
    let jobs = Arc::new(Jobs::default());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            jobs.wait();
            println!("idle");
            continue;
        }
        // Counted before the thread starts, so that `wait` cannot come in between.
        *jobs.running.lock().unwrap() += 1;
        let jobs = Arc::clone(&jobs);
        // The handle is dropped at once: the thread is detached and frees itself.
        std::thread::Builder::new().spawn(move || {
            job(&line);
            jobs.done();
        })?;
    }
    jobs.wait();
    Ok(())
}

impl Jobs {
    fn done(&self) {
        let mut running = self.running.lock().unwrap();
        *running -= 1;
        self.none_left.notify_all();
    }

    fn wait(&self) {
        let running = self.running.lock().unwrap();
        if *running > 0 {
            drop(self.none_left.wait(running).unwrap());
        }
    }
}

/// Reads a file to its end and prints its name and length.
fn job(name: &str) {
    match std::fs::read(name) {
        Ok(content) => println!("{name}: {} bytes", content.len()),
        Err(e) => println!("{name}: {e}"),
    }
}
