//! Exercise 19: a chat room in one thread
//!
//! Task: what one guest says all others hear. One thread serves them all: it sleeps
//! in one call that waits for everybody, select, poll or epoll, and in no other.
//!
//! Contract: `exercise19 ADDRESS`
//! - Listen at ADDRESS and print `listening on ADDRESS` as the first line, with the
//!   real port (it may be asked for port 0). A hundred clients may wait there to be
//!   accepted, as with std.
//! - Who connects is in the room. The guests have numbers in the order in which they
//!   came: 1, 2, 3 and so on, and no number is given twice.
//! - A line ends with a newline. When guest 2 has said all of the line `hello`,
//!   everybody else hears the line `2: hello`, and guest 2 does not. A line may come
//!   in pieces, and several may come at once, and it may be empty. Its bytes are
//!   passed on as they are, text or not.
//! - A line has at most 1024 bytes. Who says more without a newline is sent away:
//!   its connection is closed, and nothing of that line is passed on.
//! - Who does not read keeps nobody waiting. What the kernel does not take for it is
//!   kept until it reads, but 64 KiB at most: who is further behind is sent away.
//! - When a guest sends no more (read returns 0), or its connection breaks, the
//!   server closes it. A line that is not whole by then is not passed on; one that
//!   is whole is, though the guest has gone.
//! - The server goes on for ever, whatever happens to its guests. It has one thread
//!   and one process. While nobody says anything it sleeps.
//!
//! Checked: guests that come, and speak in another order; lines in pieces, several
//! lines at once, bytes that are no text; a line without end; a guest that does not
//! read, for a while or for ever; guests that leave, before they were accepted, or
//! while another speaks; forty guests that speak at the same moment; the number of
//! threads, and the call in which the server sleeps.
//!
//! Given: `listen`, and a loop that hears one guest at a time and tells nobody. Use
//! nix, libc or std; there are fewer than 100 guests. Lesson: 42_select_server.
//! Try it: cargo xtask run exercise19 127.0.0.1:8888, and in several other terminals
//! cargo run --bin 42_select_server -- client 127.0.0.1:8888.

use anyhow::Context;
use std::io::Read;
use std::net::TcpListener;

fn main() -> anyhow::Result<()> {
    let listener = listen()?;
    loop {
        // Both calls wait for one. Wait for all of them at once instead.
        let (mut guest, _) = listener.accept()?;
        let mut buffer = [0; 16384];
        while guest.read(&mut buffer)? > 0 {}
    }
}

/// Listens at the address of the command line, and says where.
fn listen() -> anyhow::Result<TcpListener> {
    let address = std::env::args().nth(1).context("use: exercise19 ADDRESS")?;
    let listener = TcpListener::bind(&address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}
