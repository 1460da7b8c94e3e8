//! Believes that each piece of the question brings a piece of the answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    let mut piece = [0; 4096];
    loop {
        let n = std::io::stdin().read(&mut piece)?;
        if n == 0 {
            break;
        }
        stream.write_all(&piece[..n])?;
        let n = stream.read(&mut piece)?;
        std::io::stdout().write_all(&piece[..n])?;
    }
    stream.shutdown(Shutdown::Write)?;
    std::io::copy(&mut stream, &mut std::io::stdout())?;
    Ok(())
}
