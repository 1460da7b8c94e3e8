//! Believes that the server sees by itself when all has been sent.

use std::io::{Read, Write};
use std::net::TcpStream;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    let mut question = Vec::new();
    std::io::stdin().read_to_end(&mut question)?;
    stream.write_all(&question)?;
    std::io::copy(&mut stream, &mut std::io::stdout())?;
    Ok(())
}
