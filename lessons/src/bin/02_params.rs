//! Whose memory is `arg`?
//!
//! pthread_create hands the new thread one pointer and copies nothing. What it
//! points to must be there, and unchanged, until the thread has read it.
//! Predict: two threads get a pointer to one variable, set to 1 before the first is
//! created and to 2 before the second. Which numbers do they read?
//! Neighbours: 01_create, 03_join, 07_shared.

use lessons::{errno_name, observe, proc, prove, step};
use libc::{c_void, pthread_t};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

type Start = extern "C" fn(*mut c_void) -> *mut c_void;

static GATE: Mutex<()> = Mutex::new(());
static GLOBAL: AtomicUsize = AtomicUsize::new(7);

fn main() -> anyhow::Result<()> {
    lessons::open("Whose memory is `arg`?");

    step("A seven for a thread: in a global, in a variable of main, in a Box.");
    let local = AtomicUsize::new(7);
    let boxed = Box::into_raw(Box::new(7_usize));
    let place = |memory: *mut c_void| proc::mapping(proc::own_pid(), memory);
    let in_global = place(address(&GLOBAL))?;
    let in_local = place(address(&local))?;
    let in_box = place(boxed.cast())?;
    let global_read = join(create(reads_global, null_mut()));
    let local_read = join(create(reads_pointer, address(&local)));
    let boxed_read = join(create(takes_box, boxed.cast()));
    observe(&format!("global, in {in_global}"), global_read);
    observe(&format!("variable, in {in_local}"), local_read);
    observe(&format!("Box, in {in_box}"), boxed_read);
    let all = [global_read, local_read, boxed_read];
    prove(
        "a thread reads main's stack too",
        all == [7; 3] && in_local == "[stack]",
    )?;

    step("One variable, two threads, both held until it has been set twice.");
    let number = AtomicUsize::new(0);
    let shut = GATE.lock();
    number.store(1, SeqCst);
    let first = create(reads_pointer, address(&number));
    number.store(2, SeqCst);
    let second = create(reads_pointer, address(&number));
    drop(shut);
    let read = (join(first), join(second));
    observe("the first thread reads", read.0);
    observe("the second thread reads", read.1);
    prove("both read the last value", read == (2, 2))?;

    step("The same without the gate, five hundred times.");
    let (mut first_wrong, mut second_wrong) = ([0, 0], 0);
    for i in 0..500 {
        let yields = i % 10 == 9;
        number.store(1, SeqCst);
        let first = create(reads_pointer, address(&number));
        // Each tenth time main offers its processor to others before it goes on.
        if yields {
            std::thread::yield_now();
        }
        number.store(2, SeqCst);
        let second = create(reads_pointer, address(&number));
        first_wrong[usize::from(yields)] += usize::from(join(first) != 1);
        second_wrong += usize::from(join(second) != 2);
    }
    observe("first wrong, set at once", format!("{} of 450", first_wrong[0]));
    observe("first wrong, after a yield", format!("{} of 50", first_wrong[1]));
    observe("second wrong", format!("{second_wrong} of 500"));
    prove("only what is not set again is sure to arrive", second_wrong == 0)?;

    step("A Box for each thread, five hundred times.");
    let mut wrong = 0;
    for _ in 0..500 {
        let first = create(takes_box, Box::into_raw(Box::new(1_usize)).cast());
        let second = create(takes_box, Box::into_raw(Box::new(2_usize)).cast());
        wrong += usize::from((join(first), join(second)) != (1, 2));
    }
    observe("wrong pairs", format!("{wrong} of 500"));
    prove("a thread with memory of its own gets its number", wrong == 0)
}

extern "C" fn reads_global(_: *mut c_void) -> *mut c_void {
    GLOBAL.load(SeqCst) as *mut c_void
}

extern "C" fn reads_pointer(arg: *mut c_void) -> *mut c_void {
    let _open = GATE.lock();
    // SAFETY: the number lives in main until this thread is joined; it is atomic.
    unsafe { &*arg.cast::<AtomicUsize>() }.load(SeqCst) as *mut c_void
}

extern "C" fn takes_box(arg: *mut c_void) -> *mut c_void {
    // SAFETY: main made it with into_raw and gave it away; this thread owns it now.
    let number = unsafe { Box::from_raw(arg.cast::<usize>()) };
    *number as *mut c_void
}

fn address(number: &AtomicUsize) -> *mut c_void {
    (&raw const *number).cast_mut().cast()
}

fn create(start: Start, arg: *mut c_void) -> pthread_t {
    let mut thread = 0;
    // SAFETY: null attributes are the default ones; `arg` is what `start` wants.
    let result =
        unsafe { libc::pthread_create(&mut thread, std::ptr::null(), start, arg) };
    assert_eq!(result, 0, "pthread_create: {}", errno_name(result));
    thread
}

/// The number that the thread returns, in the place of a pointer.
fn join(thread: pthread_t) -> usize {
    let mut number = null_mut();
    // SAFETY: a joinable thread, joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, &mut number) }, 0);
    number as usize
}
