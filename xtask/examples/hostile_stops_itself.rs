//! Stops, and nobody continues it.
//! Verdict: hung

mod hostile;

fn main() {
    hostile::begin();
    // SAFETY: raise(3) takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}
