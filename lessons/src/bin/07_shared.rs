//! What is shared, what is private?
//!
//! The threads of a process share its memory, its descriptors and its directory.
//! An id, a stack, errno and a signal mask each of them has for itself.
//! Predict: can a thread write to a variable on the stack of another?
//! Neighbours: 06_cancel, 08_race.

use lessons::{errno_name, observe, proc, prove, step, until};
use nix::errno::Errno;
use nix::sys::signal::Signal::{self, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SigHandler, SigSet, signal};
use std::cell::Cell;
use std::fs::{File, read_link};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};

static DATA: AtomicI32 = AtomicI32::new(0);
thread_local! { static OWN: Cell<i32> = const { Cell::new(0) } }

fn main() -> anyhow::Result<()> {
    lessons::open("What is shared, what is private?");
    let main = proc::own_tid();

    step("Who are they? getpid(2) and gettid(2), in main and in another thread.");
    let ids = || [proc::own_pid(), proc::own_tid()];
    let (mine, its) = (ids(), in_thread(ids));
    observe("process id", both(mine[0], its[0]));
    observe("thread id", both(mine[1], its[1]));
    prove("one process, two threads", mine[0] == its[0] && mine[1] != its[1])?;

    step("Where does each of them find the same four variables?");
    let (mine, its) = (addresses(), in_thread(addresses));
    let names = ["a static", "a thread-local", "errno", "a local"];
    for (i, name) in names.iter().enumerate() {
        observe(name, format!("main {:#x}, thread {:#x}", mine[i], its[i]));
    }
    prove("there is one static", mine[0] == its[0])?;
    prove("of the others each has its own", (1..4).all(|i| mine[i] != its[i]))?;

    step("The thread sets a static, a heap block, a local of main, a thread-local.");
    let (heap, local) = (Box::new(AtomicI32::new(0)), AtomicI32::new(0));
    in_thread(|| {
        DATA.store(1, SeqCst);
        heap.store(1, SeqCst);
        local.store(1, SeqCst);
        OWN.set(1);
    });
    let seen = [DATA.load(SeqCst), heap.load(SeqCst), local.load(SeqCst), OWN.get()];
    observe("main sees", format!("{seen:?}"));
    observe("its local lies in", proc::mapping(proc::own_pid(), &raw const local)?);
    prove("static, heap and even main's stack are in reach", seen[..3] == [1; 3])?;
    prove("a thread-local is a variable for each thread", seen[3] == 0)?;

    step("A call fails in each: close(2) of -1 in main, open(2) of no file there.");
    let failed = AtomicBool::new(false);
    let (mine, its) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            while !failed.load(SeqCst) {
                std::hint::spin_loop();
            }
            // SAFETY: the path is a C string.
            unsafe { libc::open(c"/no/such/file".as_ptr(), libc::O_RDONLY) };
            Errno::last_raw()
        });
        // SAFETY: -1 is nobody's descriptor.
        unsafe { libc::close(-1) };
        failed.store(true, SeqCst);
        // No system call here: it could set errno.
        while !thread.is_finished() {
            std::hint::spin_loop();
        }
        (Errno::last_raw(), thread.join().expect("it does not panic"))
    });
    observe("errno after both", both(errno_name(mine), errno_name(its)));
    prove("errno is private", [mine, its] == [libc::EBADF, libc::ENOENT])?;

    step("It blocks SIGUSR1 (pthread_sigmask(3)) and ignores SIGUSR2 (signal(2)).");
    let (blocked, ignored) = in_thread(|| -> anyhow::Result<_> {
        // Until it returns, pthread_create(3) blocks all signals of its caller.
        until("main is ready", || Ok(!has(main, "SigBlk", SIGUSR1)?))?;
        SigSet::from(SIGUSR1).thread_block()?;
        // SAFETY: no handler is installed.
        unsafe { signal(SIGUSR2, SigHandler::SigIgn) }?;
        let own = proc::own_tid();
        let blocked = [has(main, "SigBlk", SIGUSR1)?, has(own, "SigBlk", SIGUSR1)?];
        let ignored = [has(main, "SigIgn", SIGUSR2)?, has(own, "SigIgn", SIGUSR2)?];
        Ok((blocked, ignored))
    })?;
    observe("SIGUSR1 blocked", both(blocked[0], blocked[1]));
    observe("SIGUSR2 ignored", both(ignored[0], ignored[1]));
    prove("the signal mask is private", blocked == [false, true])?;
    prove("what a signal does is shared", ignored == [true, true])?;

    step("The thread goes to another directory, opens a file, and ends.");
    let file = in_thread(|| {
        std::env::set_current_dir("/proc")?;
        File::open("/dev/null")
    })?;
    let fd = read_link(format!("/proc/self/task/{main}/fd/{}", file.as_raw_fd()))?;
    let cwd = read_link(format!("/proc/self/task/{main}/cwd"))?;
    observe("main's working directory", cwd.display());
    observe(&format!("main's descriptor {}", file.as_raw_fd()), fd.display());
    prove("one working directory", cwd == *"/proc")?;
    prove("one table of descriptors: it closed none by ending", fd == *"/dev/null")
}

fn addresses() -> [usize; 4] {
    let mut local = 0;
    // SAFETY: only the address is asked for.
    let errno = unsafe { libc::__errno_location() };
    [DATA.as_ptr(), OWN.with(Cell::as_ptr), errno, &raw mut local].map(|p| p.addr())
}

/// Is the signal in this mask of the thread's status?
fn has(tid: i32, mask: &str, signal: Signal) -> anyhow::Result<bool> {
    let hex = proc::status_field(&format!("/proc/self/task/{tid}/status"), mask)?;
    Ok(u64::from_str_radix(&hex, 16)? & (1 << (signal as i32 - 1)) != 0)
}

fn both<T: std::fmt::Display>(main: T, thread: T) -> String {
    format!("main {main}, thread {thread}")
}

fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
}
