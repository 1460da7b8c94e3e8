//! Believes that a thread has begun when spawn returns.

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
        let jobs = Arc::clone(&jobs);
        std::thread::Builder::new().spawn(move || {
            jobs.begin();
            job(&line);
            jobs.done();
        })?;
    }
    jobs.wait();
    Ok(())
}

impl Jobs {
    fn begin(&self) {
        *self.running.lock().unwrap() += 1;
    }

    fn done(&self) {
        let mut running = self.running.lock().unwrap();
        *running -= 1;
        if *running == 0 {
            self.none_left.notify_all();
        }
    }

    fn wait(&self) {
        let mut running = self.running.lock().unwrap();
        while *running > 0 {
            running = self.none_left.wait(running).unwrap();
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
