//! Believes that a thread which has ended is gone, so that nobody has to join or detach it.

use std::ffi::CString;
use std::io::BufRead;
use std::sync::{Condvar, Mutex};

static RUNNING: Mutex<usize> = Mutex::new(0);
static NONE_LEFT: Condvar = Condvar::new();

fn main() -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            wait();
            println!("idle");
            continue;
        }
        *RUNNING.lock().unwrap() += 1;
        let name = CString::new(line)?.into_raw();
        let mut thread = 0;
        // SAFETY: `run` takes back the string that it is given; default attributes.
        let result = unsafe {
            libc::pthread_create(&mut thread, std::ptr::null(), run, name.cast())
        };
        assert_eq!(result, 0);
    }
    wait();
    Ok(())
}

extern "C" fn run(name: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: main gave up this string to this thread.
    let name = unsafe { CString::from_raw(name.cast()) };
    job(&name.to_string_lossy());
    *RUNNING.lock().unwrap() -= 1;
    NONE_LEFT.notify_all();
    std::ptr::null_mut()
}

fn wait() {
    let running = RUNNING.lock().unwrap();
    drop(NONE_LEFT.wait_while(running, |running| *running > 0));
}

/// Reads a file to its end and prints its name and length.
fn job(name: &str) {
    match std::fs::read(name) {
        Ok(content) => println!("{name}: {} bytes", content.len()),
        Err(e) => println!("{name}: {e}"),
    }
}
