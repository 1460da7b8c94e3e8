//! Believes that a thread which has been started has counted itself.

use anyhow::bail;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

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
        match slots.is_free() {
            // The connection moves into the thread; its handle is dropped, so its
            // stack is freed when it ends.
            true => {
                let slots = Slots(Arc::clone(&slots.0));
                _ = thread::Builder::new().spawn(move || serve(client, &slots));
            }
            // An error is the end of this client, and of nothing else.
            false => _ = refuse(client),
        }
    }
}

/// Owns the connection and its slot until the end, and gives both up in this order.
fn serve(client: TcpStream, slots: &Slots) {
    let slot = slots.take();
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
struct Slots(Arc<Mutex<isize>>);

/// The right to serve one client.
struct Slot(Arc<Mutex<isize>>);

impl Slots {
    fn is_free(&self) -> bool {
        *lock(&self.0) > 0
    }

    fn take(&self) -> Slot {
        let mut free = lock(&self.0);
        *free -= 1;
        Slot(Arc::clone(&self.0))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *lock(&self.0) += 1;
    }
}

/// The number is right whatever happened to a thread that held the lock.
fn lock(free: &Mutex<isize>) -> MutexGuard<'_, isize> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends back what comes.
fn echo(mut client: &TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 16384];
    loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            n => client.write_all(&buffer[..n])?,
        }
    }
}

/// Listens at the address of the command line, and says where. How many clients?
fn listen() -> anyhow::Result<(TcpListener, isize)> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, most] = &args[..] else { bail!("use: exercise18 ADDRESS N") };
    let most = most.parse()?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok((listener, most))
}
