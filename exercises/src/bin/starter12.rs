//! Exercise 12: read_full and write_full on a raw descriptor
//!
//! Task: two functions that do all that they are asked for. read(2) returns what is
//! there, write(2) takes what there is room for, and a signal ends either of them
//! early.
//!
//! Contract: `exercise12 ADDRESS SIZE`: connect to a server. It sends records of
//! SIZE bytes and wants each of them back, unchanged.
//! - `read_full(fd, buffer)` reads until the buffer is full or the other side has
//!   ended, and returns how many bytes it has read: fewer only at the end. It takes
//!   no byte that does not belong into the buffer.
//! - `write_full(fd, bytes)` returns when all bytes are written.
//! - A signal changes nothing of this: SIGUSR1 may come at any time and as often as
//!   it likes. Its handler does nothing, but it ends the call that it finds waiting:
//!   what that had moved so far is returned, and EINTR if that is nothing.
//! - Any other error is returned, in both functions.
//! - A record is sent back as soon as it is complete, and no earlier. What is left
//!   at the end, less than a record, is sent back too.
//! - At the end print `N records, M bytes more` and end with status 0; after an
//!   error end with another status. `main` does that.
//! - While nothing happens the program sleeps.
//!
//! Checked: records that come byte by byte, or several in one piece; signals while
//! it reads and while it writes, before and after some bytes; a server that does not
//! read for a while; the end, between two records and within one; connections that
//! are broken off.
//!
//! Given: `main`, `catch`. Call read and write of libc or nix, or of std (a
//! `ManuallyDrop<File>` borrows a descriptor). Lesson: 28_stream. Try it: in one
//! terminal nc -l 127.0.0.1 4000, in another cargo xtask run exercise12
//! 127.0.0.1:4000 4, then type into the first; kill -USR1 sends the signal.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{Error, Result};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

fn main() -> anyhow::Result<()> {
    catch(Signal::SIGUSR1)?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, size] = &words[..] else {
        anyhow::bail!("usage: exercise12 ADDRESS SIZE");
    };
    let stream = TcpStream::connect(address)?;
    let mut record = vec![0; size.parse()?];
    let mut records = 0;
    let rest = loop {
        let n = read_full(stream.as_raw_fd(), &mut record)?;
        write_full(stream.as_raw_fd(), &record[..n])?;
        if n < record.len() {
            break n;
        }
        records += 1;
    };
    println!("{records} records, {rest} bytes more");
    Ok(())
}

/// Reads until the buffer is full or the other side has ended; returns how much.
fn read_full(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the address and the size of a buffer that lives longer than the call.
    let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    // Negative if it is an error, which errno names.
    usize::try_from(n).map_err(|_| Error::last_os_error())
}

/// Writes all of it.
fn write_full(fd: RawFd, bytes: &[u8]) -> Result<()> {
    // SAFETY: the address and the size of bytes that live longer than the call.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(n).map(|_| ()).map_err(|_| Error::last_os_error())
}

/// Has the signal do nothing but interrupt: no SA_RESTART.
fn catch(signal: Signal) -> nix::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = SigHandler::Handler(nothing);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: a handler that does nothing is safe at any point of the program.
    unsafe { sigaction(signal, &action)? };
    Ok(())
}
