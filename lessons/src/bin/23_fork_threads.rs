//! Which threads survive a fork?
//!
//! fork(2) copies all of the memory, but of the threads only the one that calls.
//! What the others have locked stays locked in the child: nobody there unlocks it.
//! Predict: a thread holds a lock while another one forks. What does the child find?
//! Neighbours: 13_fork, 09_mutex.

use anyhow::{Result, bail};
use lessons::proc::{self, Syscall};
use lessons::{errno_name, observe, prove, step, until};
use libc::{EBUSY, c_int, pthread_mutex_t};
use libc::{pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_unlock};
use nix::sys::signal::{Signal::SIGKILL, kill};
use nix::sys::wait::{WaitStatus::Exited, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe, read, write};
use std::cell::UnsafeCell;
use std::{sync::Barrier, thread};

struct CMutex(UnsafeCell<pthread_mutex_t>);
// SAFETY: made for many threads, which reach it only through `mutex`.
unsafe impl Sync for CMutex {}

static LOCK: CMutex = CMutex(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
static GATE: Barrier = Barrier::new(2);

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("exec") {
        std::process::exit(mutex(pthread_mutex_trylock));
    }
    lessons::open("Which threads survive a fork?");

    step("Main starts two threads. The one that is called \"caller\" forks.");
    thread::spawn(|| GATE.wait());
    let caller = thread::Builder::new().name("caller".to_owned()).spawn(|| {
        let before = proc::threads(proc::own_pid())?;
        // SAFETY: it only waits.
        let child = child_that(|| unsafe { libc::pause() })?;
        let pid = child.as_raw();
        let (after, name) = (proc::threads(pid), proc::thread_name(pid, pid));
        kill(child, SIGKILL)?;
        waitpid(child, None)?;
        anyhow::Ok((before, after?, name?))
    })?;
    let (before, after, name) = caller.join().expect("it does not panic")?;
    observe("threads of the parent", before);
    observe("threads of the child", after);
    observe("main thread of the child", &name);
    prove("only a copy of the caller survives", (before, after) == (3, 1))?;
    prove("it is the main thread there", name == "caller")?;
    GATE.wait();

    step("A thread holds a lock. Main forks. Then the thread gives the lock back.");
    hold_in_another_thread();
    let (told, tell) = pipe()?;
    let asks = child_that(|| {
        let _ = read(&told, &mut [0]);
        mutex(pthread_mutex_trylock)
    })?;
    let wants = child_that(|| mutex(pthread_mutex_lock))?;
    GATE.wait();
    let parent = mutex(pthread_mutex_lock);
    mutex(pthread_mutex_unlock);
    write(&tell, b"x")?;
    let child = result_of(asks)?;
    observe("lock in the parent", errno_name(parent));
    observe("trylock in the child", errno_name(child));
    prove("the parent gets the lock", parent == 0)?;
    prove("in the child it is still locked, by nobody", child == EBUSY)?;

    step("Another child, of the same moment, does not only try.");
    let pid = wants.as_raw();
    let for_ever = |c: Syscall| c.number == libc::SYS_futex && c.args[3] == 0;
    until("it sleeps", || Ok(proc::syscall(pid, pid)?.is_some_and(for_ever)))?;
    observe("threads, all asleep in futex", proc::threads(pid)?);
    prove("it waits for a thread that is not there", proc::threads(pid)? == 1)?;
    kill(wants, SIGKILL)?;
    waitpid(wants, None)?;

    step("Main holds the lock itself when it forks.");
    mutex(pthread_mutex_lock);
    let child = result_of(child_that(|| mutex(pthread_mutex_unlock))?)?;
    mutex(pthread_mutex_unlock);
    observe("unlock in the child", errno_name(child));
    prove("the copy of its owner can give it back", child == 0)?;

    step("Again another thread holds it. The child calls execv(3) at once.");
    hold_in_another_thread();
    // Made before the fork: malloc(3) has locks, too.
    let args = [c"/proc/self/exe".as_ptr(), c"exec".as_ptr(), std::ptr::null()];
    // SAFETY: both strings and the array are ended by a null.
    let execs = child_that(|| unsafe { libc::execv(args[0], args.as_ptr()) })?;
    let child = result_of(execs)?;
    GATE.wait();
    observe("trylock in the new program", errno_name(child));
    prove("exec leaves the memory behind, and its locks", child == 0)
}

/// fork(2). The child does this and ends with its result as status.
fn child_that(does: impl FnOnce() -> c_int) -> nix::Result<Pid> {
    // SAFETY: a copy of a process with threads may do little (signal-safety(7)): it
    // waits, execs, ends. That it touches a lock is wrong on purpose.
    let ForkResult::Parent { child } = unsafe { fork() }? else {
        let _ends_with_its_parent = nix::sys::prctl::set_pdeathsig(SIGKILL);
        let status = does();
        // SAFETY: it only ends the process.
        unsafe { libc::_exit(status) }
    };
    Ok(child)
}

fn result_of(child: Pid) -> Result<c_int> {
    let Exited(_, status) = waitpid(child, None)? else { bail!("it was killed") };
    Ok(status)
}

/// The thread has the lock when this returns; the next GATE.wait() lets it unlock.
fn hold_in_another_thread() {
    thread::spawn(|| {
        mutex(pthread_mutex_lock);
        GATE.wait();
        GATE.wait();
        mutex(pthread_mutex_unlock);
    });
    GATE.wait();
}

fn mutex(call: unsafe extern "C" fn(*mut pthread_mutex_t) -> c_int) -> c_int {
    // SAFETY: initialised where it was made, and alive to the end.
    unsafe { call(LOCK.0.get()) }
}
