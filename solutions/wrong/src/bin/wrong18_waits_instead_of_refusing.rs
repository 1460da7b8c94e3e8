//! Believes that at most N clients means that the next one has to wait.

use anyhow::bail;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

fn main() -> anyhow::Result<()> {
    let (listener, most) = listen()?;
    let slots = Arc::new((Mutex::new(most), Condvar::new()));
    loop {
        let (client, _) = listener.accept()?;
        let slots = Arc::clone(&slots);
        let (free, returned) = &*slots;
        let wait =
            returned.wait_while(free.lock().expect("no panics"), |free| *free == 0);
        *wait.expect("no panics") -= 1;
        thread::spawn({
            let slots = Arc::clone(&slots);
            move || {
                let _ = echo(&client);
                drop(client);
                *slots.0.lock().expect("no panics") += 1;
                slots.1.notify_one();
            }
        });
    }
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
fn listen() -> anyhow::Result<(TcpListener, usize)> {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, most] = &args[..] else { bail!("use: exercise18 ADDRESS N") };
    let most = most.parse()?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok((listener, most))
}
