//! Believes that a question consists of lines.

use std::io::Write;
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
    sender.join().expect("it does not panic")?;
    Ok(())
}

/// Sends all of standard input, and then says that nothing more will come.
fn send(mut stream: TcpStream) -> std::io::Result<()> {
    for line in std::io::stdin().lines() {
        writeln!(stream, "{}", line?)?;
    }
    // For all duplicates of the descriptor: the connection is half-closed.
    stream.shutdown(Shutdown::Write)
}
