//! Believes that two threads do for any number of jobs.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};

/// How many jobs are not done, and a way to wait until all are.
#[derive(Default)]
struct Jobs {
    left: Mutex<usize>,
    none_left: Condvar,
}

fn main() -> anyhow::Result<()> {
    let jobs = Arc::new(Jobs::default());
    let (names, received) = channel();
    let received = Arc::new(Mutex::new(received));
    for _ in 0..2 {
        let (jobs, received) = (Arc::clone(&jobs), Arc::clone(&received));
        std::thread::spawn(move || work(&jobs, &received));
    }
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            jobs.wait();
            println!("idle");
        } else {
            *jobs.left.lock().unwrap() += 1;
            names.send(line)?;
        }
    }
    jobs.wait();
    Ok(())
}

fn work(jobs: &Jobs, names: &Mutex<Receiver<String>>) {
    // The lock is let go before the job.
    let next = || names.lock().unwrap().recv();
    while let Ok(name) = next() {
        job(&name);
        jobs.done();
    }
}

impl Jobs {
    fn done(&self) {
        let mut left = self.left.lock().unwrap();
        *left -= 1;
        if *left == 0 {
            self.none_left.notify_all();
        }
    }

    fn wait(&self) {
        let left = self.left.lock().unwrap();
        drop(self.none_left.wait_while(left, |left| *left > 0).unwrap());
    }
}

/// Reads a file to its end and prints its name and length.
fn job(name: &str) {
    match std::fs::read(name) {
        Ok(content) => println!("{name}: {} bytes", content.len()),
        Err(e) => println!("{name}: {e}"),
    }
}
