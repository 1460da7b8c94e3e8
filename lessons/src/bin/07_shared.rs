//! What is shared, what is private?
//!
//! Threads of one process share its memory, its descriptors and its directory. A stack, errno and
//! a signal mask each has for itself.
//! Predict: may a thread write to a variable on the stack of another?
//! Neighbours: 06_cancel, 08_race.

use lessons::{errno_name, observe, proc, prove, step};
use libc::{SIGUSR1, SIGUSR2, c_int};
use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};

static DATA: AtomicI32 = AtomicI32::new(0);
thread_local! { static OWN: Cell<i32> = const { Cell::new(0) } }

fn main() -> anyhow::Result<()> {
    lessons::open("What is shared, what is private?");
    let main = proc::own_tid();

    step("Who are they? getpid(2) and gettid(2), in main and in a second thread.");
    let ids = || (proc::own_pid(), proc::own_tid());
    let (a, b) = (ids(), in_thread(ids));
    observe("process", format!("{} {}", a.0, b.0));
    observe("thread", format!("{} {}", a.1, b.1));
    prove("one process, two threads", a.0 == b.0 && a.1 != b.1)?;

    step("Where do they find these four things?");
    let (a, b) = (places(), in_thread(places));
    for (i, what) in ["static", "thread-local", "errno", "local"].iter().enumerate() {
        observe(&format!("{what} variable"), format!("{:#x} {:#x}", a[i], b[i]));
    }
    prove("the static is the same one for both", a[0] == b[0])?;
    prove("of the others each has its own", (1..4).all(|i| a[i] != b[i]))
}

fn places() -> [usize; 4] {
    let local = 0;
    // SAFETY: it gives an address and reads nothing.
    let errno = unsafe { libc::__errno_location() };
    [&raw const DATA as usize, OWN.with(Cell::as_ptr) as usize, errno as usize, &raw const local as usize]
}

/// Runs `work` in a thread of its own and waits for its result.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
}
