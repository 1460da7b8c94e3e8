//! Believes that threads end in the order in which they were started.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What the thread that joins all others is asked for.
enum Request {
    Join(JoinHandle<()>),
    /// An answer when it comes to this.
    Answer(Sender<()>),
}

fn main() -> anyhow::Result<()> {
    let (requests, received) = channel();
    let reaper = std::thread::spawn(move || reap(&received));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            let (answer, answered) = channel();
            requests.send(Request::Answer(answer))?;
            answered.recv()?;
            println!("idle");
        } else {
            let job = std::thread::spawn(move || job(&line));
            requests.send(Request::Join(job))?;
        }
    }
    drop(requests);
    reaper.join().unwrap();
    Ok(())
}

fn reap(requests: &Receiver<Request>) {
    for request in requests {
        match request {
            Request::Join(job) => job.join().unwrap(),
            Request::Answer(answer) => answer.send(()).unwrap(),
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
