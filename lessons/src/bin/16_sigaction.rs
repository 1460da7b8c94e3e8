//! What may a handler do?
//!
//! A handler runs between two instructions of the program, whatever it was about
//! to do. It may set a flag or write to a pipe; hardly anything else is safe.
//! Predict: SIGINT is blocked and sent three times. How often does the handler run?
//! Neighbours: 15_waitpid, 17_eintr.

use lessons::proc::{self, Syscall};
use lessons::{observe, prove, step, until};
use libc::{SYS_futex, c_int};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::signal::{SigHandler::Handler, Signal::*};
use nix::sys::signal::{kill, raise, sigaction, signal};
use nix::unistd::{ForkResult, alarm, fork, getpid, pipe2, read};
use nix::{errno::Errno, fcntl::OFlag, sys::wait::waitpid};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, atomic::AtomicI32, atomic::Ordering::SeqCst};

static RUNS: AtomicI32 = AtomicI32::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);
static LOCK: Mutex<()> = Mutex::new(());

fn main() -> anyhow::Result<()> {
    lessons::open("What may a handler do?");

    step("alarm(2) asks for a SIGALRM in a second. sigsuspend(2) waits for it.");
    install(SIGALRM, Handler(counts), SaFlags::empty())?;
    // Blocked until sigsuspend lets it in: it cannot come before the wait.
    SigSet::from(SIGALRM).thread_block()?;
    alarm::set(1);
    while RUNS.load(SeqCst) == 0 {
        SigSet::empty().suspend()?;
    }
    observe("the handler ran", RUNS.load(SeqCst));
    prove("it ran once, and main goes on", RUNS.swap(0, SeqCst) == 1)?;

    step("SIGINT is blocked and sent three times. Then it is unblocked.");
    install(SIGINT, Handler(counts), SaFlags::empty())?;
    SigSet::from(SIGINT).thread_block()?;
    (0..3).try_for_each(|_| kill(getpid(), SIGINT))?;
    let pending = has(proc::own_pid(), "ShdPnd", SIGINT)?;
    observe("blocked: it is pending", pending);
    observe("blocked: the handler ran", RUNS.load(SeqCst));
    prove("blocked, a signal waits", pending && RUNS.load(SeqCst) == 0)?;
    SigSet::from(SIGINT).thread_unblock()?;
    observe("unblocked: the handler ran", RUNS.load(SeqCst));
    prove("three were sent, one was delivered", RUNS.load(SeqCst) == 1)?;

    step("SIGINT interrupts a child that holds a lock. The handler wants it too.");
    install(SIGINT, Handler(locks), SaFlags::empty())?;
    // SAFETY: this process has one thread.
    let ForkResult::Parent { child } = (unsafe { fork()? }) else { child() };
    let pid = child.as_raw();
    let for_ever = |call: Syscall| call.number == SYS_futex && call.args[3] == 0;
    until("it sleeps", || Ok(proc::syscall(pid, pid)?.is_some_and(for_ever)))?;
    let threads = proc::threads(pid)?;
    let blocked = [has(pid, "SigBlk", SIGINT)?, has(pid, "SigBlk", SIGTERM)?];
    kill(child, SIGKILL)?;
    waitpid(child, None)?;
    observe("threads, all asleep in futex", threads);
    observe("SIGINT, SIGTERM blocked", format!("{blocked:?}"));
    prove("it waits for itself, for ever", threads == 1)?;
    prove("a handler's signal is blocked, and sa_mask", blocked == [true; 2])?;

    step("SIGINT comes just before poll(2). The handler writes to a pipe.");
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    PIPE.store(writer.as_raw_fd(), SeqCst);
    install(SIGINT, Handler(writes), SaFlags::empty())?;
    raise(SIGINT)?;
    let mut pipe = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    let (without, with) = (poll(&mut [], 10u8)?, poll(&mut pipe, 10_000u16)?);
    let mut byte = [0];
    read(&reader, &mut byte)?;
    observe("ready, without the pipe", without);
    observe("ready, with the pipe", with);
    observe("the byte", byte[0]);
    prove("poll knows nothing of a signal that has been", without == 0)?;
    prove("the pipe keeps it", with == 1 && byte[0] == SIGINT as u8)?;

    step("signal(2): what does it install? And what did it install in System V?");
    // SAFETY: `counts` does what a handler may do.
    unsafe { signal(SIGINT, Handler(counts)) }?;
    let system_v = SaFlags::SA_RESETHAND | SaFlags::SA_NODEFER;
    let glibc = install(SIGINT, Handler(counts), system_v)?.flags();
    observe("flags in glibc", format!("{glibc:?}"));
    prove("signal chooses, here SA_RESTART", glibc == SaFlags::SA_RESTART)?;
    let before = has(proc::own_pid(), "SigCgt", SIGINT)?;
    raise(SIGINT)?;
    let after = has(proc::own_pid(), "SigCgt", SIGINT)?;
    observe("System V: caught, still caught", format!("{before}, {after}"));
    prove("its handler was good for one signal", before && !after)
}

extern "C" fn counts(_: c_int) {
    RUNS.fetch_add(1, SeqCst);
}

extern "C" fn writes(signal: c_int) {
    let errno = Errno::last_raw(); // Main may be about to look at it.
    // SAFETY: write(2) is async-signal-safe. The pipe is open, and never blocks.
    unsafe { libc::write(PIPE.load(SeqCst), [signal as u8].as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}

extern "C" fn locks(_: c_int) {
    drop(LOCK.lock());
}

fn child() -> ! {
    let _dies_with_its_parent = nix::sys::prctl::set_pdeathsig(SIGKILL);
    let _held = LOCK.lock();
    let _interrupted = raise(SIGINT);
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(1) }
}

/// sigaction(2), with SIGTERM in sa_mask. Returns the action it replaced.
fn install(on: Signal, what: SigHandler, how: SaFlags) -> nix::Result<SigAction> {
    let action = SigAction::new(what, how, SigSet::from(SIGTERM));
    // SAFETY: `counts` and `writes` do what they may (signal-safety(7)). `locks` is
    // wrong on purpose: it waits for ever, but breaks no rule of memory.
    unsafe { sigaction(on, &action) }
}

/// Is the signal in this set of the process's status?
fn has(pid: i32, set: &str, signal: Signal) -> anyhow::Result<bool> {
    let hex = proc::status_field(&format!("/proc/{pid}/status"), set)?;
    Ok(u64::from_str_radix(&hex, 16)? & (1 << (signal as i32 - 1)) != 0)
}
