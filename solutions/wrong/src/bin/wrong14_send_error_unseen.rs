//! Believes that who reads will hear of it if the connection is broken off.

use std::net::{Shutdown, TcpStream};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    let to_server = stream.try_clone()?;
    let sender = std::thread::Builder::new().spawn(move || send(to_server))?;
    std::io::copy(&mut stream, &mut std::io::stdout())?;
    // The server may have ended first: all of the question must go all the same.
    let _ = sender.join().expect("it does not panic");
    Ok(())
}

/// Sends all of standard input, and then says that nothing more will come.
fn send(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut stream)?;
    // For all duplicates of the descriptor: the connection is half-closed.
    stream.shutdown(Shutdown::Write)
}
