//! Believes that who listens to two sides has to ask them in turn.

use anyhow::Context;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut child = command(&words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let to_child = child.stdin.take().context("no pipe to the command")?;
    let mut from_child = child.stdout.take().context("no pipe from the command")?;
    let mut stdin = std::io::stdin();
    for fd in [stdin.as_fd(), to_child.as_fd(), from_child.as_fd()] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let mut to_child = Some(to_child);
    let (mut unsent, mut line, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        match from_child.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                for &byte in &buffer[..n] {
                    line.push(byte);
                    if byte == b'\n' {
                        std::io::stdout().write_all(&[b"> ", &line[..]].concat())?;
                        line.clear();
                    }
                }
                continue;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        let Some(pipe) = &mut to_child else { continue };
        if unsent.is_empty() {
            match stdin.read(&mut buffer) {
                Ok(0) => to_child = None,
                Ok(n) => unsent.extend_from_slice(&buffer[..n]),
                // Nobody has anything to say: ask again in a moment.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        } else {
            match pipe.write(&unsent) {
                Ok(n) => drop(unsent.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => to_child = None,
            }
        }
    }
    if !line.is_empty() {
        std::io::stdout().write_all(&[b"> ", &line[..], b"\n"].concat())?;
    }
    println!("{}", tell(child.wait()?));
    Ok(())
}

/// The command with its arguments, ready to be started.
fn command(words: &[String]) -> anyhow::Result<Command> {
    let (program, arguments) =
        words.split_first().context("usage: exercise11 COMMAND...")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Says how a child ended. `ExitStatus::from_raw` takes what waitpid stores.
fn tell(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
