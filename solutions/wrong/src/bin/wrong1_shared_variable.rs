//! Believes that a thread which gets a pointer to the loop's variable gets the value of that round.

use anyhow::Context;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> anyhow::Result<()> {
    let numbers = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().with_context(|| format!("{arg} is not a number")))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    let current = AtomicU64::new(0);
    let mut threads = Vec::new();
    for &number in &numbers {
        current.store(number, Ordering::SeqCst);
        let mut thread = 0;
        let arg = (&raw const current).cast_mut().cast();
        // SAFETY: `current` outlives the threads, which are joined below. It is atomic, so reading
        // it while the loop goes on is a mistake but not undefined.
        let result =
            unsafe { libc::pthread_create(&mut thread, std::ptr::null(), run, arg) };
        anyhow::ensure!(result == 0, "pthread_create: {result}");
        threads.push(thread);
    }
    for &thread in &threads {
        // SAFETY: a joinable thread, joined once.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    }
    println!("joined {}", numbers.len());
    Ok(())
}

extern "C" fn run(arg: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: main keeps the number alive until this thread is joined.
    let current = unsafe { &*arg.cast::<AtomicU64>() };
    visit(current.load(Ordering::SeqCst));
    std::ptr::null_mut()
}

/// Says which number the thread got, and stays until standard input ends.
fn visit(number: u64) {
    println!("got {number}");
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
