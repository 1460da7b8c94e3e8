//! Believes that a descriptor that does not block needs no waiting.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let stream = TcpStream::connect(address)?;

    let to_server = stream.try_clone()?;
    let sender = std::thread::Builder::new().spawn(move || send(to_server))?;
    let mut piece = [0; 4096];
    loop {
        // For this thread alone: the other one shares the connection.
        let flags = MsgFlags::MSG_DONTWAIT;
        match recv(stream.as_raw_fd(), &mut piece, flags) {
            Ok(0) => break,
            Ok(n) => std::io::stdout().write_all(&piece[..n])?,
            Err(Errno::EAGAIN) => {}
            Err(e) => return Err(e.into()),
        }
    }
    // The server may have ended first: all of the question must go all the same.
    sender.join().expect("it does not panic")?;
    Ok(())
}

/// Sends all of standard input, and then says that nothing more will come.
fn send(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut stream)?;
    // For all duplicates of the descriptor: the connection is half-closed.
    stream.shutdown(Shutdown::Write)
}
