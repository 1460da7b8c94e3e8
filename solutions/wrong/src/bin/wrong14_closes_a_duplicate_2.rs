//! Believes that the process that sends ends its direction by closing its descriptor.

use anyhow::ensure;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::net::TcpStream;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address] = &words[..] else {
        anyhow::bail!("usage: exercise14 ADDRESS");
    };
    let mut stream = TcpStream::connect(address)?;

    // SAFETY: there is no other thread.
    let ForkResult::Parent { child } = (unsafe { fork()? }) else {
        std::io::copy(&mut stream, &mut std::io::stdout())?;
        return Ok(());
    };
    std::io::copy(&mut std::io::stdin(), &mut stream)?;
    drop(stream);
    let status = waitpid(child, None)?;
    ensure!(status == WaitStatus::Exited(child, 0), "the child has failed");
    Ok(())
}
