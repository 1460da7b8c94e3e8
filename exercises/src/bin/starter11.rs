//! Exercise 11: a two-way dialogue with a child program
//!
//! Task: talk with a command. What the program is told goes to the command, what the
//! command says comes back, both at any time.
//!
//! Contract: `exercise11 COMMAND...`: the words are a command and its arguments.
//! - Start the command; its standard input and output are connected to the program.
//! - All that comes on standard input goes to the command, unchanged, as soon as it
//!   is there, be it half a line. When the input ends, the command's input ends too.
//! - What both sides say need not be text.
//! - For each line that the command prints, print `> LINE`, unchanged, as soon as it
//!   is there. The last one may lack its line feed; print one all the same.
//! - The command may answer each line or none, wait for the end of its input before
//!   it says anything, or talk without being asked. Neither side says how much it
//!   has to say; it can be more than a pipe holds.
//! - The command may close its input before it has read all (a write then fails with
//!   EPIPE): no more is sent to it, and what it says is printed as before. (If you
//!   use a socketpair, its end may then come as ECONNRESET.)
//! - The command may end before its output: a child of its own can hold that, and
//!   say more. It may also close its output and live on.
//! - When the output has ended, wait until the command has ended by itself, print
//!   `exit CODE` or `signal NUMBER`, and end with status 0; also if there is still
//!   input to come.
//! - While nothing happens the program sleeps.
//!
//! Checked: question and answer, one at a time; 300 KB each way, both at once; a
//! command that is silent until its input ends, one that talks first, one that
//! closes its input, and then its output; one that ends early, and before a child of
//! its own; that each side sees the end of the other; half a line; bytes that are no
//! text, in both directions.
//!
//! Given: `command`, `tell`. Use std::process, or nix and libc; threads, or poll.
//! Lesson: 21_dialogue. Try it: cargo xtask run exercise11 cat -n, type some lines
//! and press Control-D; and: cargo xtask run exercise11 sort.

use anyhow::Context;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut child = command(&words)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the command")?;
    let mut to_child = child.stdin.take().context("no pipe to the command")?;
    let from_child = child.stdout.take().context("no pipe from the command")?;

    // One after the other: this is no dialogue yet.
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    to_child.write_all(&input)?;
    drop(to_child);
    for line in BufReader::new(from_child).split(b'\n') {
        std::io::stdout().write_all(&[b"> ", &line?[..], b"\n"].concat())?;
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
