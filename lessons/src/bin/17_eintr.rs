//! Is it an error?
//!
//! A handler that runs while a system call waits ends the wait: -1, EINTR. Nothing
//! is wrong and nothing is lost: call again. With SA_RESTART some calls wait on.
//! Predict: handlers with SA_RESTART interrupt read(2) and poll(2). Who waits on?
//! Neighbours: 16_sigaction, 18_sigchld.

use lessons::{observe, proc, prove, step, until};
use libc::{SYS_futex, c_int};
use nix::errno::Errno::{EBADF, EINTR};
use nix::poll::{PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::select::select;
use nix::sys::signal::{SaFlags, SigAction, SigHandler::Handler, SigSet};
use nix::sys::signal::{Signal::SIGUSR1, sigaction};
use nix::unistd::{alarm, pipe, read, write};
use std::io::{ErrorKind::Interrupted, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

static RUNS: AtomicU32 = AtomicU32::new(0);

fn main() -> anyhow::Result<()> {
    lessons::open("Is it an error?");
    alarm::set(60); // If a wait should never end, this ends the process.
    let (reader, writer) = pipe()?;
    let (no_more, one_byte) = (|| (), || _ = write(&writer, b"x"));

    step("With SA_RESTART. read(2) waits, a handler runs, then comes a byte.");
    install(SaFlags::SA_RESTART)?;
    let (result, again) = interrupted(|| read(&reader, &mut [0]), one_byte)?;
    observe("read", format!("{result:?}, waited again: {again}"));
    prove("the kernel begins it again", result == Ok(1) && again)?;

    step("With SA_RESTART. poll(2), select(2) and epoll_wait(2) wait, for nothing.");
    let (polled, _) = interrupted(|| poll(&mut [], PollTimeout::NONE), no_more)?;
    let (selected, _) = interrupted(|| select(0, None, None, None, None), no_more)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let waits = || epoll.wait(&mut [EpollEvent::empty()], PollTimeout::NONE);
    let (waited, _) = interrupted(waits, no_more)?;
    let results = [polled.err(), selected.err(), waited.err()];
    observe("poll, select, epoll_wait", format!("{results:?}"));
    prove("these are never begun again", results == [Some(EINTR); 3])?;

    step("Without SA_RESTART. read(2) waits, a handler runs, then comes a byte.");
    install(SaFlags::empty())?;
    let (result, again) = interrupted(|| read(&reader, &mut [0]), one_byte)?;
    let next = read(&reader, &mut [0]);
    observe("read", format!("{result:?}, waited again: {again}"));
    observe("the next read", format!("{next:?}"));
    prove("the handler ends the wait", result == Err(EINTR) && !again)?;
    prove("nothing is lost", next == Ok(1))?;

    step("Without. Two loops read: 3 bytes, a signal, 4 bytes, the end.");
    let (naive, right) = (three_and_four(false)?, three_and_four(true)?);
    observe("it ends at n <= 0", format!("{} bytes, {:?}", naive.0, naive.1));
    observe("at EINTR it calls again", format!("{} bytes, {:?}", right.0, right.1));
    prove("the first takes a signal for the end", naive == (3, Err(EINTR)))?;
    prove("0 is the end, EINTR is not", right == (7, Ok(0)))?;
    let wrong_end = read(&writer, &mut [0]);
    prove("any other -1 is an error, here EBADF", wrong_end == Err(EBADF))?;

    step("Without. And what does std do for you?");
    let mut file = std::fs::File::from(reader.try_clone()?);
    let plain =
        interrupted(|| file.read(&mut [0]), no_more)?.0.map_err(|e| e.kind());
    let (exact, exact_again) = interrupted(|| file.read_exact(&mut [0]), one_byte)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let knock = || drop(listener.local_addr().and_then(TcpStream::connect));
    let (accepted, accept_again) = interrupted(|| listener.accept(), knock)?;
    observe("read", format!("{plain:?}"));
    observe("read_exact, accept: again", format!("{exact_again}, {accept_again}"));
    prove("read says Interrupted", plain == Err(Interrupted))?;
    prove("read_exact calls again", exact.is_ok() && exact_again)?;
    prove("so does accept", accepted.is_ok() && accept_again)
}

/// Interrupts `call` while it waits, then does `next`. Did it wait again in between?
fn interrupted<T, N>(call: impl FnOnce() -> T, next: N) -> anyhow::Result<(T, bool)>
where
    N: FnOnce() + Send,
{
    let (main, tid, before) = (pthread_self(), proc::own_tid(), RUNS.load(SeqCst));
    let done = AtomicBool::new(false);
    let waits = || -> anyhow::Result<bool> {
        let call = proc::syscall(proc::own_pid(), tid)?;
        let waits = call.is_some_and(|call| call.number != SYS_futex);
        Ok(waits && proc::state(proc::own_pid(), tid)? == 'S')
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| -> anyhow::Result<bool> {
            until("it waits", waits)?;
            pthread_kill(main, SIGUSR1)?;
            until("the handler ran", || Ok(RUNS.load(SeqCst) > before))?;
            until("it is done, or waits", || Ok(done.load(SeqCst) || waits()?))?;
            let again = !done.load(SeqCst);
            next();
            Ok(again)
        });
        let result = call();
        done.store(true, SeqCst);
        Ok((result, other.join().expect("it does not panic")?))
    })
}

/// How many bytes a loop read, and what the last read returned.
fn three_and_four(again: bool) -> anyhow::Result<(usize, nix::Result<usize>)> {
    let (reader, writer) = pipe()?;
    write(&writer, b"one")?;
    let mut sum = 0;
    let reads = || loop {
        match read(&reader, &mut [0; 16]) {
            Ok(n) if n > 0 => sum += n,
            Err(EINTR) if again => {}
            last => return (sum, last),
        }
    };
    Ok(interrupted(reads, move || _ = write(&writer, b"four"))?.0)
}

extern "C" fn counts(_: c_int) {
    RUNS.fetch_add(1, SeqCst);
}

fn install(flags: SaFlags) -> nix::Result<SigAction> {
    let action = SigAction::new(Handler(counts), flags, SigSet::empty());
    // SAFETY: the handler sets an atomic, nothing else (signal-safety(7)).
    unsafe { sigaction(SIGUSR1, &action) }
}
