//! Who runs first?
//!
//! pthread_create starts one more thread in the process and returns. From then on
//! both run, and neither waits for the other unless the program makes it wait.
//! Predict: of 1,000 new threads, how many have begun when the call returns?
//! Neighbours: 02_params, 05_exit.

use lessons::{observe, proc, prove, step, until};
use libc::{c_void, pthread_t};
use nix::errno::Errno;
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};

const STACK: usize = 256 << 10;
static GATE: Mutex<()> = Mutex::new(());
static BEGUN: AtomicBool = AtomicBool::new(false);

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("main-returns") {
        return main_returns();
    }
    lessons::open("Who runs first?");
    let threads = || proc::threads(proc::own_pid());

    step("One thread is created, held at a gate, let go and joined.");
    let shut = GATE.lock();
    let before = threads()?;
    let thread = create(STACK)?;
    let held = threads()?;
    drop(shut);
    join(thread);
    until("the thread is gone", || Ok(threads()? == before))?;
    observe("threads", format!("{before}, then {held}, then {}", threads()?));
    prove("a new thread is one more in the same process", (before, held) == (1, 2))?;

    step("A thousand threads. Which have begun when pthread_create has returned?");
    let mut thread_first = [0, 0];
    for i in 0..1000 {
        let thread = create(STACK)?;
        // Each twentieth time main offers its processor to others before it looks.
        let yields = i % 20 == 19;
        if yields {
            std::thread::yield_now();
        }
        thread_first[usize::from(yields)] += u32::from(BEGUN.load(SeqCst));
        join(thread);
    }
    observe("begun, seen at once", format!("{} of 950", thread_first[0]));
    observe("begun, seen after a yield", format!("{} of 50", thread_first[1]));

    step("A hundred whose creator waits for them, a hundred that wait for it.");
    let (mut thread_first, mut creator_first) = (0, 0);
    for _ in 0..100 {
        join(create(STACK)?);
        thread_first += u32::from(BEGUN.load(SeqCst));
        let shut = GATE.lock();
        let thread = create(STACK)?;
        creator_first += u32::from(!BEGUN.load(SeqCst));
        drop(shut);
        join(thread);
    }
    observe("creator waits: thread first", format!("{thread_first} of 100"));
    observe("thread waits: creator first", format!("{creator_first} of 100"));
    prove("waiting makes an order", (thread_first, creator_first) == (100, 100))?;

    step("A thread whose stack is to be an exbibyte.");
    Errno::clear();
    let returned = create(1 << 60).err().unwrap_or(Errno::UnknownErrno);
    let errno = Errno::last();
    observe("pthread_create returned", format!("{returned:?}"));
    observe("errno", format!("{errno:?}"));
    prove("the error is what it returns, not errno", returned == Errno::EAGAIN)?;

    step("A process whose main returns. Its other thread still waits for input.");
    let mut child = Command::new(std::env::current_exe()?)
        .arg("main-returns")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // Its input stays open: the thread cannot get past its read.
    let _input = child.stdin.take();
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stdout)?.trim_end().replace('\n', "; ");
    observe("it printed", &printed);
    observe("exit status", output.status.code().unwrap_or(-1));
    prove(
        "main's return ended the process, and the waiting thread with it",
        output.status.success() && !printed.contains("thread: done"),
    )
}

/// In the child process.
fn main_returns() -> anyhow::Result<()> {
    let (begun, has_begun) = mpsc::channel();
    std::thread::spawn(move || {
        println!("thread: begun");
        let _ = begun.send(());
        let _ = std::io::stdin().read_line(&mut String::new());
        println!("thread: done");
    });
    has_begun.recv()?;
    println!("main: returns");
    Ok(())
}

extern "C" fn begins(_: *mut c_void) -> *mut c_void {
    let _open = GATE.lock();
    BEGUN.store(true, SeqCst);
    null_mut()
}

/// pthread_create(3) with a stack of that many bytes.
fn create(stack: usize) -> Result<pthread_t, Errno> {
    BEGUN.store(false, SeqCst);
    let (mut thread, mut attr) = (0, std::mem::MaybeUninit::uninit());
    // SAFETY: init makes the attributes valid for what follows; no argument is used.
    let result = unsafe {
        libc::pthread_attr_init(attr.as_mut_ptr());
        libc::pthread_attr_setstacksize(attr.as_mut_ptr(), stack);
        libc::pthread_create(&mut thread, attr.as_ptr(), begins, null_mut())
    };
    if result == 0 { Ok(thread) } else { Err(Errno::from_raw(result)) }
}

fn join(thread: pthread_t) {
    // SAFETY: a joinable thread, joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
}
