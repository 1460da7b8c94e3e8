//! Believes that who reads from many needs many threads.

use anyhow::Context;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

type Guests = Arc<Mutex<Vec<(usize, TcpStream)>>>;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    let guests = Guests::default();
    for number in 1.. {
        let (guest, _) = listener.accept()?;
        let reader = BufReader::new(guest.try_clone()?);
        let all = Arc::clone(&guests);
        all.lock().unwrap_or_else(PoisonError::into_inner).push((number, guest));
        std::thread::spawn(move || serve(number, reader, &all));
    }
    Ok(())
}

fn serve(number: usize, mut guest: BufReader<TcpStream>, all: &Guests) {
    let mut line = Vec::new();
    while guest.read_until(b'\n', &mut line).is_ok_and(|n| (1..=1024).contains(&n)) {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        for (other, stream) in all.iter_mut().filter(|(other, _)| *other != number) {
            let _ = stream.write_all(format!("{number}: ").as_bytes());
            // Who does not listen keeps the lock, and all others wait.
            if stream.write_all(&line).is_err() {
                *other = 0;
            }
        }
        line.clear();
    }
    all.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.0 != number);
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise19 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
