//! Where does a thread's result go?
//!
//! What a thread returns is kept for one pthread_join. The call waits for the end of
//! the thread; only after it may the result be read, whichever way it came.
//! Predict: a thread has returned, the kernel has forgotten it, and only now main
//! joins it. Is its result lost?
//! Neighbours: 02_params, 04_detach.

use lessons::{errno_name, observe, proc, prove, step, until};
use libc::{EDEADLK, c_void};
use nix::errno::Errno;
use std::panic;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

static SHARED: AtomicUsize = AtomicUsize::new(0);

struct Task {
    last: usize,
    sum: AtomicUsize,
}

fn main() -> anyhow::Result<()> {
    lessons::open("Where does a thread's result go?");

    step("A thread adds 1 to 100, leaves the sum in three places and ends.");
    let task = Task { last: 100, sum: AtomicUsize::new(0) };
    let (mut thread, mut returned) = (0, null_mut());
    let arg = (&raw const task).cast_mut().cast();
    // SAFETY: the task outlives the thread, which is joined below.
    let result = unsafe { libc::pthread_create(&mut thread, null(), adds_up, arg) };
    assert_eq!(result, 0, "pthread_create: {}", errno_name(result));
    until("it has ended", || Ok(proc::threads(proc::own_pid())? == 1))?;
    observe("threads before the join", proc::threads(proc::own_pid())?);
    // SAFETY: a joinable thread, joined once; `returned` has room for its result.
    assert_eq!(unsafe { libc::pthread_join(thread, &mut returned) }, 0);
    let (returned, shared) = (returned as usize, SHARED.load(SeqCst));
    let in_arg = task.sum.load(SeqCst);
    observe("return value, by the join", returned);
    observe("shared variable", shared);
    observe("through the argument", in_arg);
    prove(
        "the thread is gone, its result was kept for the join",
        [returned, shared, in_arg] == [5050; 3],
    )?;

    step("A thread that does not end before it has seen main wait for it.");
    let handle = thread::spawn(sees_main_wait);
    let (thread, awaited) = handle.join().expect("a thread that does not panic")?;
    observe("the thread's id", thread);
    observe("main slept in futex(2) until", format!("the end of {awaited}"));
    prove("join blocks until the thread has ended", thread == awaited)?;

    step("A thread that joins itself.");
    Errno::clear();
    // SAFETY: main is a joinable thread, and the call is refused.
    let result = unsafe { libc::pthread_join(libc::pthread_self(), null_mut()) };
    let errno = Errno::last_raw();
    observe("pthread_join returned", errno_name(result));
    observe("errno", errno_name(errno));
    prove("it would wait for ever; glibc refuses", result == EDEADLK)?;

    step("In Rust: two threads, and one of them panics.");
    panic::set_hook(Box::new(|_| ())); // no message on the screen
    let sound = thread::spawn(|| (1..=100).sum::<usize>()).join();
    let broken = thread::spawn(|| -> usize { panic!("no data") }).join();
    let broken = broken.map_err(|cause| cause.downcast_ref().copied().unwrap_or(""));
    observe("join of the one", format!("{sound:?}"));
    observe("join of the other", format!("{broken:?}"));
    let told = sound.is_ok_and(|sum| sum == 5050) && broken == Err("no data");
    prove("join says whether there is a result", told)
}

extern "C" fn adds_up(task: *mut c_void) -> *mut c_void {
    // SAFETY: main keeps the task until this thread is joined.
    let task = unsafe { &*task.cast::<Task>() };
    let sum = (1..=task.last).sum();
    SHARED.store(sum, SeqCst);
    task.sum.store(sum, SeqCst);
    sum as *mut c_void
}

/// Returns the id of this thread and that of the thread main waits for.
fn sees_main_wait() -> anyhow::Result<(i32, i32)> {
    let main = proc::own_pid();
    let mut awaited = 0;
    until("main waits for this thread", || {
        // pthread_join waits in futex(2) while the word still holds the thread's id.
        if let Some(call) = proc::syscall(main, main)?
            && call.number == libc::SYS_futex
        {
            awaited = call.args[2] as i32;
        }
        Ok(awaited == proc::own_tid())
    })?;
    Ok((proc::own_tid(), awaited))
}
