//! When does a cancel take effect?
//!
//! pthread_cancel(3) asks. A thread that allows it ends at a cancellation point.
//! Predict: a thread counts in a loop and calls nothing. What does a cancel do?
//! Neighbours: 05_exit, 07_shared.

use lessons::{errno_name, observe, proc, prove, step, until};
use libc::{c_int, c_void, pthread_t};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};

const PTHREAD_CANCELED: *mut c_void = -1_isize as *mut c_void;
const PTHREAD_CANCEL_ENABLE: c_int = 0;
const PTHREAD_CANCEL_DISABLE: c_int = 1;

static COUNTING: AtomicBool = AtomicBool::new(true);
static COUNT: AtomicU64 = AtomicU64::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);
static SAVED: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> anyhow::Result<()> {
    lessons::open("When does a cancel take effect?");
    let (mut reader, mut writer) = std::io::pipe()?;
    PIPE.store(reader.as_raw_fd(), SeqCst);

    step("A thread counts in a loop and calls nothing. It is cancelled.");
    let thread = create(PTHREAD_CANCEL_ENABLE);
    cancel(thread);
    COUNT.store(0, SeqCst);
    until("it has counted on", || Ok(COUNT.load(SeqCst) > 1000))?;
    observe("since then it has counted to", COUNT.load(SeqCst));
    prove("a cancel only asks: the thread runs on", COUNT.load(SeqCst) > 1000)?;

    step("It leaves the loop and calls read(2), its first cancellation point.");
    COUNTING.store(false, SeqCst);
    prove("it ended there, and read never returned", cancelled(thread))?;

    step("Another is cancelled while it waits in read.");
    let thread = create(PTHREAD_CANCEL_ENABLE);
    waits_in_read()?;
    cancel(thread);
    prove("a wait in a cancellation point is given up", cancelled(thread))?;

    step("A third disables cancellation until it has saved what it reads.");
    let thread = create(PTHREAD_CANCEL_DISABLE);
    waits_in_read()?;
    cancel(thread);
    waits_in_read()?;
    writer.write_all(b"x")?;
    let cancelled = cancelled(thread);
    observe("saved", SAVED.load(SeqCst));
    prove("it saved; then the cancel took effect", SAVED.load(SeqCst) && cancelled)?;

    step("In Rust: a flag says stop. The thread it is meant for waits in read.");
    let worker = std::thread::spawn(move || {
        let mut last = [0];
        while !STOP.load(SeqCst) {
            reader.read_exact(&mut last).expect("a byte");
        }
        last[0]
    });
    let switches = waits_in_read()?;
    STOP.store(true, SeqCst);
    observe("times it has woken since", waits_in_read()? - switches);
    prove("a flag alone wakes nobody", waits_in_read()? == switches)?;

    step("The flag and a wake-up: one byte.");
    writer.write_all(b"x")?;
    let last = worker.join().expect("the worker does not panic");
    observe("it returned", char::from(last));
    prove("it ended by itself, its last work in hand", last == b'x')
}

extern "C-unwind" fn works(state: *mut c_void) -> *mut c_void {
    // SAFETY: valid states, room for one byte; what unwinds has nothing to drop.
    unsafe {
        pthread_setcancelstate(state as c_int, null_mut());
        while COUNTING.load(SeqCst) {
            COUNT.fetch_add(1, SeqCst);
        }
        SAVED.store(read(PIPE.load(SeqCst), &mut 0, 1) == 1, SeqCst);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, null_mut());
        pthread_testcancel();
    }
    null_mut()
}

// "C-unwind": a cancelled thread unwinds its stack out of these calls.
unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut pthread_t,
        attr: *const libc::pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> c_int;
    fn pthread_cancel(thread: pthread_t) -> c_int;
    fn pthread_testcancel();
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn read(fd: c_int, buffer: *mut u8, size: usize) -> isize;
}

fn create(state: c_int) -> pthread_t {
    let (mut thread, arg) = (0, state as *mut c_void);
    // SAFETY: default attributes; `works` takes its argument for a number, as it is.
    assert_eq!(unsafe { pthread_create(&mut thread, null_mut(), works, arg) }, 0);
    thread
}

fn cancel(thread: pthread_t) {
    // SAFETY: the thread has not been joined.
    observe("pthread_cancel", errno_name(unsafe { pthread_cancel(thread) }));
}

/// Joins the thread. Is its result PTHREAD_CANCELED, and not the null it returns?
fn cancelled(thread: pthread_t) -> bool {
    let mut result = null_mut();
    // SAFETY: a joinable thread, joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, &mut result) }, 0);
    observe("ended as PTHREAD_CANCELED", result == PTHREAD_CANCELED);
    result == PTHREAD_CANCELED
}

/// Waits until a thread sleeps in read. How often has it gone to sleep so far?
fn waits_in_read() -> anyhow::Result<u64> {
    until("it waits in read", || Ok(proc::blocked_in(libc::SYS_read)?.len() == 1))?;
    proc::switches(proc::own_pid(), proc::blocked_in(libc::SYS_read)?[0])
}
