//! What ends: the thread or the process?
//!
//! `return` ends a function, pthread_exit a thread, exit a process. A start routine
//! that returns ends its thread, a main that returns ends the process.
//! Predict: main calls pthread_exit, another thread runs on. What is left in /proc?
//! Neighbours: 01_create, 04_detach.

// pthread_exit unwinds the stack; the runtime around Rust's own `main` aborts then.
#![no_main]

use lessons::{observe, proc, prove, step, until};
use libc::{c_int, c_void, pthread_attr_t, pthread_t};
use nix::sys::wait::{WaitPidFlag, WaitStatus::StillAlive, waitpid};
use nix::unistd::{Pid, read, write};
use std::process::{Child, Command, Stdio};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut pthread_t,
        attr: *const pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> c_int;
    fn pthread_exit(result: *mut c_void) -> !;
}

static ARGS: LazyLock<Vec<String>> = LazyLock::new(|| std::env::args().collect());

#[unsafe(no_mangle)]
extern "C-unwind" fn main() -> c_int {
    // SAFETY: it sets no handler. Rust's own `main` does so too.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    if ARGS.len() == 3 {
        return child();
    }
    c_int::from(lesson().inspect_err(|e| eprintln!("Error: {e:?}")).is_err())
}

fn lesson() -> anyhow::Result<()> {
    lessons::open("What ends: the thread or the process?");

    step("The second thread calls a function that ends. What is still printed?");
    let end = end_of(start("second", "return")?)?;
    observe("return", &end);
    prove("return ends the function", end == "second, main; status 7")?;
    let end = end_of(start("second", "pthread_exit")?)?;
    observe("pthread_exit", &end);
    prove("pthread_exit ends the thread", end == "main; status 7")?;
    let end = end_of(start("second", "exit")?)?;
    observe("exit(3)", &end);
    prove("exit ends the process", end == "nothing; status 3")?;

    step("Main calls it. The second thread waits for input.");
    let end = end_of(start("main", "return")?)?;
    observe("return, then main returns 7", &end);
    prove("main's return takes the second thread along", end == "main; status 7")?;
    let end = end_of(start("main", "exit")?)?;
    observe("exit(3)", &end);
    prove("so does exit", end == "nothing; status 3")?;

    step("Main calls pthread_exit. The second thread waits for input.");
    let mut child = start("main", "pthread_exit")?;
    let pid = child.id() as i32;
    until("main has ended", || Ok(proc::state(pid, pid)? == 'Z'))?;
    let threads = proc::threads(pid)?;
    let wait = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG))?;
    observe("state of the main thread", proc::state(pid, pid)?);
    observe("threads", threads);
    observe("waitpid with WNOHANG", format!("{wait:?}"));
    prove("main is dead, the process lives", (threads, wait) == (2, StillAlive))?;

    step("Now the second thread gets its input.");
    drop(child.stdin.take());
    let end = end_of(child)?;
    observe("pthread_exit", &end);
    prove("the process ends with its last thread", end == "second; status 0")
}

/// A child process in which `who` calls `end`.
fn start(who: &str, how: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([who, how]).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command.spawn()?)
}

/// What it printed, and its status. Its input stays open until then.
fn end_of(mut child: Child) -> anyhow::Result<String> {
    let _input = child.stdin.take();
    let output = child.wait_with_output()?;
    let lines = String::from_utf8(output.stdout)?.trim_end().replace('\n', ", ");
    let printed = if lines.is_empty() { "nothing" } else { &lines };
    Ok(format!("{printed}; status {}", output.status.code().unwrap_or(-1)))
}

fn child() -> c_int {
    let mut thread = 0;
    // SAFETY: null attributes are the default ones; joined once at most.
    unsafe {
        assert_eq!(pthread_create(&mut thread, null(), second, null_mut()), 0);
        if ARGS[1] == "main" {
            let reads = || Ok(!proc::blocked_in(libc::SYS_read)?.is_empty());
            until("it reads", reads).expect("a thread that waits for input");
            end();
        } else {
            libc::pthread_join(thread, null_mut());
        }
    }
    let _ = write(std::io::stdout(), b"main\n");
    7
}

extern "C-unwind" fn second(_: *mut c_void) -> *mut c_void {
    match ARGS[1].as_str() {
        "main" => _ = read(std::io::stdin(), &mut [0]),
        _ => end(),
    }
    let _ = write(std::io::stdout(), b"second\n");
    null_mut()
}

fn end() {
    match ARGS[2].as_str() {
        // SAFETY: none of the functions that are left has anything to drop.
        "pthread_exit" => unsafe { pthread_exit(null_mut()) },
        "exit" => std::process::exit(3),
        _ => {}
    }
}
