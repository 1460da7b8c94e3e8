//! Believes that the answer can wait until the question is sent.

use std::net::{Shutdown, TcpStream};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    std::io::copy(&mut std::io::stdin(), &mut stream)?;
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut stream, &mut std::io::stdout())?;
    Ok(())
}
