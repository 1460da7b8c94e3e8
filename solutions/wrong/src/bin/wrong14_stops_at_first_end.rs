//! Believes that all is over when the server has ended.

use std::net::{Shutdown, TcpStream};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    let to_server = stream.try_clone()?;
    std::thread::Builder::new().spawn(move || send(to_server))?;
    std::io::copy(&mut stream, &mut std::io::stdout())?;
    Ok(())
}

/// Sends all of standard input, and then says that nothing more will come.
fn send(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut stream)?;
    // For all duplicates of the descriptor: the connection is half-closed.
    stream.shutdown(Shutdown::Write)
}
