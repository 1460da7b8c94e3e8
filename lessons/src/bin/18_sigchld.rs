//! One signal per child?
//!
//! SIGCHLD says that something has happened to the children, not how often: while
//! it is pending, another one adds nothing. So ask until there is nobody to ask for.
//! Predict: five children end while SIGCHLD is blocked. How often is it delivered?
//! Neighbours: 14_zombie, 15_waitpid, 16_sigaction.

use lessons::{errno_name, observe, proc, prove, step, until};
use nix::errno::Errno::ECHILD;
use nix::sys::signal::{SaFlags, SigAction, SigSet, sigaction};
use nix::sys::signal::{SigHandler, SigHandler::Handler, Signal::SIGCHLD};
use nix::sys::wait::{WaitPidFlag, WaitStatus, WaitStatus::StillAlive, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::env::{args, current_exe};
use std::io::{PipeWriter, Read, pipe};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

static DELIVERED: AtomicU32 = AtomicU32::new(0);
const ANY: Pid = Pid::from_raw(-1); // for waitpid(2): whichever child it is

fn main() -> anyhow::Result<()> {
    if args().len() > 1 {
        return Ok(());
    }
    lessons::open("One signal per child?");

    step("SIGCHLD is blocked. Five children end, a sixth lives.");
    SigSet::from(SIGCHLD).thread_block()?;
    on_sigchld(Handler(count), SaFlags::SA_RESTART)?;
    let five = ended_children(5)?;
    let (_, gate) = child()?;
    until("five have ended", || Ok(zombies(&five) == 5))?;
    observe("zombies", zombies(&five));
    let pending = proc::status_field("/proc/self/status", "ShdPnd")?;
    observe("pending, a bit for each signal", &pending);
    observe("delivered", DELIVERED.load(SeqCst));
    let bit = u64::from_str_radix(&pending, 16)? >> (SIGCHLD as u32 - 1) & 1;
    prove("five ends set one bit", bit == 1 && DELIVERED.load(SeqCst) == 0)?;

    step("It is unblocked.");
    SigSet::from(SIGCHLD).thread_unblock()?;
    observe("delivered", DELIVERED.load(SeqCst));
    prove("five ends, one delivery", DELIVERED.load(SeqCst) == 1)?;

    step("One waitpid(2) for the one signal. Then a loop.");
    waitpid(ANY, Some(WaitPidFlag::WNOHANG))?;
    observe("zombies after one waitpid", zombies(&five));
    prove("one call takes one child", zombies(&five) == 4)?;
    let last = reap();
    observe("zombies after the loop", zombies(&five));
    observe("the loop's last answer", format!("{last:?}"));
    prove("the loop takes the others", zombies(&five) == 0)?;
    prove("and does not wait for the sixth", last == Ok(StillAlive))?;

    step("Main sleeps in sigsuspend(2). The sixth ends.");
    // Blocked again, so that it cannot come between the question and the sleep.
    SigSet::from(SIGCHLD).thread_block()?;
    drop(gate);
    while DELIVERED.load(SeqCst) == 1 {
        SigSet::empty().suspend()?;
    }
    let last = reap();
    observe("delivered, in all", DELIVERED.load(SeqCst));
    observe("the loop's last answer", format!("{last:?}"));
    prove("a later end is a new signal", DELIVERED.load(SeqCst) == 2)?;
    prove("now there is nobody to ask for", last == Err(ECHILD))?;

    step("Three children end under SIG_IGN, three with SA_NOCLDWAIT.");
    for (name, handler, flags) in [
        ("SIG_IGN", SigHandler::SigIgn, SaFlags::empty()),
        ("SA_NOCLDWAIT", Handler(count), SaFlags::SA_NOCLDWAIT),
    ] {
        on_sigchld(handler, flags)?;
        let three = ended_children(3)?;
        let answer = waitpid(ANY, None);
        let seen = format!("{answer:?}, zombies {}", zombies(&three));
        observe(name, &seen);
        prove("no status to wait for, no zombie", seen == "Err(ECHILD), zombies 0")?;
    }

    step("In Rust, still with SA_NOCLDWAIT: Command::status.");
    let status = Command::new(current_exe()?).arg("end").status();
    let error = status.err().and_then(|error| error.raw_os_error()).unwrap_or(0);
    observe("Command::status", errno_name(error));
    prove("it has no status to give either", error == libc::ECHILD)
}

/// Takes every child that has ended. The answer that ended the loop.
fn reap() -> nix::Result<WaitStatus> {
    loop {
        match waitpid(ANY, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {}
            nobody => return nobody,
        }
    }
}

/// It interrupts the program anywhere, so it only counts (signal-safety(7)).
extern "C" fn count(_: i32) {
    DELIVERED.fetch_add(1, SeqCst);
}

fn on_sigchld(handler: SigHandler, flags: SaFlags) -> nix::Result<()> {
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the handler does nothing but add to an atomic.
    unsafe { sigaction(SIGCHLD, &action) }.map(drop)
}

fn zombies(children: &[Pid]) -> usize {
    let state = |pid: &Pid| proc::state(pid.as_raw(), pid.as_raw());
    children.iter().filter(|pid| state(pid).is_ok_and(|it| it == 'Z')).count()
}

fn ended_children(number: usize) -> anyhow::Result<Vec<Pid>> {
    (0..number).map(|_| Ok(child()?.0)).collect()
}

/// A child that ends when its gate is dropped.
fn child() -> anyhow::Result<(Pid, PipeWriter)> {
    let (mut reader, gate) = pipe()?;
    // SAFETY: this process has one thread.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok((child, gate));
    }
    drop(gate);
    let _ = reader.read(&mut [0]);
    // SAFETY: it ends this process, and nothing is to be cleaned up.
    unsafe { libc::_exit(0) }
}
