//! Believes that poll says only once that the input has ended.

use anyhow::Context;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut child = command(&words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let to_child = child.stdin.take().context("no pipe to the command")?;
    let mut from_child = child.stdout.take().context("no pipe from the command")?;
    fcntl(&to_child, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut to_child = Some(to_child);
    let stdin = std::io::stdin();
    let (mut unsent, mut line, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    loop {
        let mut fds = vec![PollFd::new(from_child.as_fd(), PollFlags::POLLIN)];
        match &to_child {
            Some(pipe) if !unsent.is_empty() => {
                fds.push(PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
            }
            _ => fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN)),
        }
        poll(&mut fds, PollTimeout::NONE)?;
        let ready = |fd: &PollFd| fd.any().unwrap_or_default();
        let (says, other) = (ready(&fds[0]), ready(&fds[1]));
        if says {
            match from_child.read(&mut buffer)? {
                0 => break,
                n => print(&mut line, &buffer[..n])?,
            }
        }
        match &mut to_child {
            Some(pipe) if other && !unsent.is_empty() => match pipe.write(&unsent) {
                Ok(n) => drop(unsent.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    unsent.clear();
                    to_child = None;
                }
            },
            _ if other => match nix::unistd::read(&stdin, &mut buffer)? {
                0 => to_child = None,
                // Nobody listens any more.
                _ if to_child.is_none() => {}
                n => unsent.extend_from_slice(&buffer[..n]),
            },
            _ => {}
        }
    }
    if !line.is_empty() {
        print(&mut line, b"\n")?;
    }
    println!("{}", tell(child.wait()?));
    Ok(())
}

/// Prints the lines that are complete now.
fn print(line: &mut Vec<u8>, bytes: &[u8]) -> std::io::Result<()> {
    for &byte in bytes {
        line.push(byte);
        if byte == b'\n' {
            std::io::stdout().write_all(&[b"> ", &line[..]].concat())?;
            line.clear();
        }
    }
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
