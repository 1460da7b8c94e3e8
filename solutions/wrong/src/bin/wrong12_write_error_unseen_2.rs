//! Believes that EPIPE is no error: the other side has heard enough.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{Error, ErrorKind, Result};
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
    let mut length = 0;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        // SAFETY: the address and the size of a buffer that lives longer than the
        // call.
        let n = unsafe { libc::read(fd, rest.as_mut_ptr().cast(), rest.len()) };
        match usize::try_from(n) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(_) => go_on_after_signal()?,
        }
    }
    Ok(length)
}

/// Writes all of it.
fn write_full(fd: RawFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the address and the size of bytes that live longer than the call.
        let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(n) {
            Ok(n) => bytes = &bytes[n..],
            Err(_) if Error::last_os_error().kind() == ErrorKind::BrokenPipe => {
                break;
            }
            Err(_) => go_on_after_signal()?,
        }
    }
    Ok(())
}

/// Returns errno as an error, unless it is EINTR.
fn go_on_after_signal() -> Result<()> {
    let error = Error::last_os_error();
    if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) }
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
