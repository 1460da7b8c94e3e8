//! Who frees a finished thread?
//!
//! A thread that has ended keeps its stack and its result until somebody joins
//! it, unless it was detached. Joining waits and then frees; detaching gives up
//! the right to wait.
//! Predict: 64 threads end and nobody joins them. What is still mapped?
//! Neighbours: 03_join, 05_exit.

use lessons::proc::{self, Bytes};
use lessons::{errno_name, observe, prove, step, until};
use libc::{EINVAL, c_void, pthread_t};
use std::ptr::null_mut;
use std::sync::Barrier;

const MANY: u64 = 64;
const STACK: u64 = 8 << 20;

fn main() -> anyhow::Result<()> {
    lessons::open("Who frees a finished thread?");

    step("Sixty-four threads end. Nobody joins them.");
    let before = proc::vm_size(proc::own_pid())?;
    let threads: Vec<pthread_t> =
        (0..MANY).map(|_| create(ends_at_once, null_mut())).collect();
    all_ended()?;
    observe("threads alive", proc::threads(proc::own_pid())?);
    observe("address space grew by", grown_since(before)?);
    prove(
        "a finished thread keeps its stack",
        grown_since(before)?.0 >= MANY * STACK,
    )?;

    step("Now each of them is joined.");
    for &thread in &threads {
        // SAFETY: a joinable thread, joined once; its result is not asked for.
        assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
    }
    observe("address space grew by", grown_since(before)?);
    // glibc keeps up to 40 MiB of free stacks for the threads to come.
    prove("join frees it", grown_since(before)?.0 < MANY * STACK / 4)?;

    step("Sixty-four more, one after another, each detached. Nobody may join them.");
    for _ in 0..MANY {
        let thread = create(ends_at_once, null_mut());
        // SAFETY: a joinable thread, detached once; its id is not used again.
        assert_eq!(unsafe { libc::pthread_detach(thread) }, 0);
        all_ended()?;
    }
    observe("address space grew by", grown_since(before)?);
    prove(
        "a detached thread frees itself",
        grown_since(before)?.0 < MANY * STACK / 4,
    )?;

    step("A detached thread, held at a barrier: can it be joined? Detached again?");
    let barrier = Barrier::new(2);
    let thread = create(waits_at, &raw const barrier as *mut c_void);
    // SAFETY: the thread waits at the barrier, so its id is valid in all three
    // calls.
    // Once it has ended they would be undefined: POSIX speaks of joinable
    // threads only.
    let (detach, join, again) = unsafe {
        (
            libc::pthread_detach(thread),
            libc::pthread_join(thread, null_mut()),
            libc::pthread_detach(thread),
        )
    };
    observe("pthread_detach", errno_name(detach));
    observe("pthread_join", errno_name(join));
    observe("pthread_detach, once more", errno_name(again));
    barrier.wait();
    all_ended()?;
    prove(
        "glibc refuses both, and nothing was waited for",
        (detach, join, again) == (0, EINVAL, EINVAL),
    )?;

    step("In Rust: drop the JoinHandle of a thread that is still running.");
    let (gate, opened) = std::sync::mpsc::channel::<()>();
    drop(std::thread::spawn(move || opened.recv()));
    observe("threads alive after the drop", proc::threads(proc::own_pid())?);
    prove(
        "dropping a JoinHandle detaches, it ends nothing",
        proc::threads(proc::own_pid())? == 2,
    )?;
    drop(gate);
    all_ended()
}

extern "C" fn ends_at_once(_: *mut c_void) -> *mut c_void {
    null_mut()
}

extern "C" fn waits_at(barrier: *mut c_void) -> *mut c_void {
    // SAFETY: main keeps the barrier alive until this thread has ended.
    unsafe { &*barrier.cast::<Barrier>() }.wait();
    null_mut()
}

/// pthread_create(3) with a stack of 8 MiB, whatever `ulimit -s` says.
fn create(
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
) -> pthread_t {
    let (mut thread, mut attr) = (0, std::mem::MaybeUninit::uninit());
    // SAFETY: init makes the attributes valid for what follows; `arg` is what
    // `start` wants.
    let result = unsafe {
        libc::pthread_attr_init(attr.as_mut_ptr());
        libc::pthread_attr_setstacksize(attr.as_mut_ptr(), STACK as usize);
        libc::pthread_create(&mut thread, attr.as_ptr(), start, arg)
    };
    assert_eq!(result, 0, "pthread_create: {}", errno_name(result));
    thread
}

fn all_ended() -> anyhow::Result<()> {
    until(
        "only the main thread is left",
        || Ok(proc::threads(proc::own_pid())? == 1),
    )
}

fn grown_since(before: Bytes) -> anyhow::Result<Bytes> {
    Ok(Bytes(proc::vm_size(proc::own_pid())?.0.saturating_sub(before.0)))
}
