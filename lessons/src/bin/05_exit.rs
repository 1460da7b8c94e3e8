//! What ends: the thread or the process?
//!
//! `return` ends a function, pthread_exit a thread, exit a process. A start routine that
//! returns ends its thread, and a main that returns ends the process.
//! Predict: main calls pthread_exit while another thread runs. What is left in /proc?
//! Neighbours: 01_create, 04_detach, 14_zombie.

// pthread_exit unwinds the stack. The runtime around Rust's own `main` stops that and
// aborts, so this program begins as a C program does.
#![no_main]

use lessons::{observe, proc, prove, step, until};
use libc::{c_char, c_int, c_void, pthread_attr_t, pthread_t};
use std::ffi::CStr;
use std::process::{Child, Command, Stdio};
use std::ptr::{null, null_mut};

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut pthread_t,
        attr: *const pthread_attr_t,
        start: Start,
        arg: *mut c_void,
    ) -> c_int;
    fn pthread_exit(result: *mut c_void) -> !;
}

#[unsafe(no_mangle)]
extern "C-unwind" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    if argc == 3 {
        // SAFETY: C's argv: argc strings that live as long as the process.
        let (who, how) =
            unsafe { (CStr::from_ptr(*argv.add(1)), CStr::from_ptr(*argv.add(2))) };
        return if who == c"main" { main_ends(how) } else { second_ends(how) };
    }
    let Err(error) = lesson() else { return 0 };
    eprintln!("Error: {error:?}");
    1
}

fn lesson() -> anyhow::Result<()> {
    lessons::open("What ends: the thread or the process?");

    step("The second thread calls a function, and that ends. Who prints a line?");
    let by_return = ending(spawn("second", "return")?)?;
    let by_pthread_exit = ending(spawn("second", "pthread_exit")?)?;
    let by_exit = ending(spawn("second", "exit")?)?;
    observe("by return", &by_return);
    observe("by pthread_exit", &by_pthread_exit);
    observe("by exit(3)", &by_exit);
    prove(
        "return ends the function, pthread_exit the thread, exit the process",
        by_return == "start routine, main; status 7"
            && by_pthread_exit == "main; status 7"
            && by_exit == "nobody; status 3",
    )?;

    step("Main calls it, returns 7. Who prints? The other thread waits for input.");
    let by_return = ending(spawn("main", "return")?)?;
    let by_exit = ending(spawn("main", "exit")?)?;
    observe("by return", &by_return);
    observe("by exit(3)", &by_exit);
    prove(
        "to return from main is to call exit",
        by_return == "nobody; status 7" && by_exit == "nobody; status 3",
    )?;

    step("Main calls pthread_exit. The other thread still waits for input.");
    let mut child = spawn("main", "pthread_exit")?;
    let pid = child.id() as i32;
    until("main has ended", || Ok(proc::state(pid, pid)? == 'Z'))?;
    let (state, threads) = (proc::state(pid, pid)?, proc::threads(pid)?);
    let reaped = child.try_wait()?.is_some();
    observe("state of the main thread", state);
    observe("threads of the process", threads);
    observe("can its parent reap it", reaped);
    prove(
        "main is a zombie, the process lives",
        (state, threads, reaped) == ('Z', 2, false),
    )?;

    step("The other thread gets its input, prints its line and returns.");
    drop(child.stdin.take());
    let last = ending(child)?;
    observe("it printed", &last);
    prove("the process ends with its last thread", last == "second; status 0")
}

fn spawn(who: &str, how: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([who, how]).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command.spawn()?)
}

/// What the child still prints, and its status. Its input stays open until it has ended.
fn ending(mut child: Child) -> anyhow::Result<String> {
    let input = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(input);
    let lines = String::from_utf8(output.stdout)?.trim_end().replace('\n', ", ");
    let who = if lines.is_empty() { "nobody" } else { &lines };
    Ok(format!("{who}; status {}", output.status.code().unwrap_or(-1)))
}

// What follows runs in the child process, and has nothing to drop where a thread ends.

fn second_ends(how: &CStr) -> c_int {
    let thread = create(calls_the_end, how);
    // SAFETY: a joinable thread, joined once.
    unsafe { libc::pthread_join(thread, null_mut()) };
    say(c"main");
    7
}

fn main_ends(how: &CStr) -> c_int {
    create(waits_for_input, how);
    if until("it waits", || Ok(!proc::blocked_in(libc::SYS_read)?.is_empty()))
        .is_err()
    {
        return 1;
    }
    end_by(how);
    7
}

extern "C-unwind" fn calls_the_end(how: *mut c_void) -> *mut c_void {
    // SAFETY:
    end_by(unsafe { CStr::from_ptr(how.cast()) });
    say(c"start routine");
    null_mut()
}

extern "C-unwind" fn waits_for_input(_: *mut c_void) -> *mut c_void {
    let mut byte = 0_u8;
    // SAFETY: room for one byte.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
    say(c"second");
    null_mut()
}

fn end_by(how: &CStr) {
    // SAFETY: no frame of this thread has anything to drop.
    unsafe {
        match how.to_bytes() {
            b"pthread_exit" => pthread_exit(null_mut()),
            b"exit" => libc::exit(3),
            _ => {}
        }
    }
}

fn create(start: Start, how: &CStr) -> pthread_t {
    let mut thread = 0;
    // SAFETY:
    let result = unsafe {
        pthread_create(&mut thread, null(), start, how.as_ptr().cast_mut().cast())
    };
    assert_eq!(result, 0);
    thread
}

fn say(line: &CStr) {
    // SAFETY: puts(3) reads a string.
    unsafe { libc::puts(line.as_ptr()) };
}
