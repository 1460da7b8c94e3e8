//! The actor: this program in the role of a child that a judged program has started.
//!
//! `xtask actor STEP...` does one step after the other and ends with status 0. A
//! case hands the judged program such commands ([`crate::scene::Scene::actor`]); the
//! words of a step:
//!
//! | step | |
//! |---|---|
//! | `gate NAME` | reads the file NAME to its end: waits for the case |
//! | `exit CODE` | ends with this status |
//! | `signal NUMBER` | ends by this signal, whatever was set for it |
//! | `answer` | for each line of its input prints `answer to LINE` |
//! | `count` | reads its input to the end, then prints `lines: N` |
//! | `spell` | reads its input to the end, then prints it on one line, as `escape_ascii` |
//! | `hear BYTES` | reads so many bytes of its input |
//! | `say N` | prints N lines of 100 bytes |
//! | `bytes HEX` | prints these bytes, two digits each |
//! | `heir NAME` | starts a child that reads the file NAME to its end, then says a line |
//! | `deaf` | closes its standard input |
//! | `mute` | closes its standard output |

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise};
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

/// What an actor ends with if it was not given sensible steps, or cannot do one.
const CONFUSED: u8 = 99;

/// The role `actor` of this program.
pub fn run(steps: impl Iterator<Item = String>) -> ExitCode {
    act(steps).map_or(ExitCode::from(CONFUSED), ExitCode::from)
}

fn act(mut words: impl Iterator<Item = String>) -> Result<u8> {
    while let Some(step) = words.next() {
        let mut argument = || words.next().context("too few words");
        match step.as_str() {
            "gate" => drop(std::fs::read(argument()?)?),
            "exit" => return Ok(argument()?.parse()?),
            "signal" => die_of(argument()?.parse::<i32>()?.try_into()?)?,
            "answer" => answer()?,
            "count" => {
                let lines = std::io::stdin().lock().lines().count();
                writeln!(std::io::stdout(), "lines: {lines}")?;
            }
            "spell" => {
                let mut heard = Vec::new();
                std::io::stdin().lock().read_to_end(&mut heard)?;
                writeln!(std::io::stdout(), "{}", heard.escape_ascii())?;
            }
            "hear" => hear(argument()?.parse()?)?,
            "say" => say(argument()?.parse()?)?,
            "bytes" => bytes(&argument()?)?,
            "heir" => heir(&argument()?)?,
            // SAFETY: nothing in this process owns these two numbers; that they are
            // closed, and later perhaps reused, is what the case wants.
            "deaf" => _ = unsafe { libc::close(0) },
            // SAFETY: as above.
            "mute" => _ = unsafe { libc::close(1) },
            other => bail!("no such step: {other}"),
        }
    }
    Ok(0)
}

fn die_of(signal: Signal) -> Result<()> {
    let default =
        SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SIGKILL has no other effect and cannot be given one.
    if signal != Signal::SIGKILL {
        // SAFETY: the default action is no handler that could do anything unsound.
        unsafe { nix::sys::signal::sigaction(signal, &default)? };
    }
    SigSet::from(signal).thread_unblock()?;
    raise(signal)?;
    bail!("{signal} did not end this process")
}

/// Past the buffer of `std::io::stdin`, which would take more.
fn hear(mut bytes: usize) -> Result<()> {
    let mut buffer = [0; 4096];
    while bytes > 0 {
        let most = bytes.min(buffer.len());
        match nix::unistd::read(std::io::stdin(), &mut buffer[..most])? {
            0 => bail!("the input has ended"),
            n => bytes -= n,
        }
    }
    Ok(())
}

fn answer() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "answer to {}", line?)?;
    }
    Ok(())
}

fn say(lines: usize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for number in 1..=lines {
        writeln!(out, "{number:0>99}")?;
    }
    Ok(())
}

/// The child outlives this process if that ends: nobody waits for it.
fn heir(gate: &str) -> Result<()> {
    // SAFETY: this process has one thread.
    if unsafe { nix::unistd::fork()? }.is_child() {
        let said = std::fs::read(gate).is_ok() && say(1).is_ok();
        std::process::exit(if said { 0 } else { CONFUSED.into() });
    }
    Ok(())
}

fn bytes(hex: &str) -> Result<()> {
    let digits = |at| hex.get(at..at + 2).context("half a byte");
    let byte = |at| Ok(u8::from_str_radix(digits(at)?, 16)?);
    let all: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect::<Result<_>>()?;
    let mut out = std::io::stdout();
    out.write_all(&all)?;
    Ok(out.flush()?)
}
