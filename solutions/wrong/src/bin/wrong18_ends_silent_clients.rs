//! Believes that a client which is silent for two seconds has gone.

use anyhow::bail;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const FULL: &[u8] = b"too many clients, come again\n";

fn main() -> anyhow::Result<()> {
    let (listener, most) = listen()?;
    let slots = Slots(Arc::new(Mutex::new(most)));
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            // That client has gone before it was its turn.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
            Err(e) => return Err(e.into()),
        };
        match slots.take() {
            // Connection and slot move into the thread; its handle is dropped, so
            // its stack is freed when it ends. If there is no thread to be had, both
            // are dropped here.
            Some(slot) => {
                _ = thread::Builder::new().spawn(move || serve(client, slot));
            }
            // An error is the end of this client, and of nothing else.
            None => _ = refuse(client),
        }
    }
}

/// Owns the connection and its slot until the end, and gives both up in this order.
fn serve(client: TcpStream, slot: Slot) {
    let _ = echo(&client);
    drop(client);
    drop(slot);
}

/// One line, then the end. Who accepts must not wait for anybody.
fn refuse(mut client: TcpStream) -> std::io::Result<()> {
    client.set_nonblocking(true)?;
    client.write_all(FULL)?;
    client.shutdown(Shutdown::Write)?;
    // To close with unread input would be a reset.
    client.read(&mut [0; 16384]).map(drop)
}

/// How many more clients there may be.
struct Slots(Arc<Mutex<usize>>);

/// The right to serve one client.
struct Slot(Arc<Mutex<usize>>);

impl Slots {
    /// To look for one and to take it is one step.
    fn take(&self) -> Option<Slot> {
        let mut free = lock(&self.0);
        *free = free.checked_sub(1)?;
        Some(Slot(Arc::clone(&self.0)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *lock(&self.0) += 1;
    }
}

/// The number is right whatever happened to a thread that held the lock.
fn lock(free: &Mutex<usize>) -> MutexGuard<'_, usize> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends back what comes.
fn echo(mut client: &TcpStream) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut buffer = [0; 16384];
    loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            n => client.write_all(&buffer[..n])?,
        }
    }
}

/// Listens at the address of the command line, and says where. How many clients?
fn listen() -> anyhow::Result<(TcpListener, usize)> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, most] = &args[..] else { bail!("use: exercise18 ADDRESS N") };
    let most = most.parse()?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok((listener, most))
}
