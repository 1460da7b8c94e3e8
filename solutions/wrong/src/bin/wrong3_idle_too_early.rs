//! Believes that a detached thread can still be joined.

use std::ffi::CString;
use std::io::BufRead;

fn main() -> anyhow::Result<()> {
    let mut last: Option<libc::pthread_t> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "wait" {
            if let Some(thread) = last.take() {
                // SAFETY: none: this is the mistake. While the thread lives glibc answers EINVAL.
                unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
            }
            println!("idle");
            continue;
        }
        let name = CString::new(line)?.into_raw();
        let mut thread = 0;
        // SAFETY: `run` takes back the string that it is given; the thread is detached once.
        unsafe {
            libc::pthread_create(&mut thread, std::ptr::null(), run, name.cast());
            libc::pthread_detach(thread);
        }
        last = Some(thread);
    }
    Ok(())
}

extern "C" fn run(name: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: main gave up this string to this thread.
    job(&unsafe { CString::from_raw(name.cast()) }.to_string_lossy());
    std::ptr::null_mut()
}

/// Reads a file to its end and prints its name and length.
fn job(name: &str) {
    match std::fs::read(name) {
        Ok(content) => println!("{name}: {} bytes", content.len()),
        Err(e) => println!("{name}: {e}"),
    }
}
