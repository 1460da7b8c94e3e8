//! Raises SIGSEGV.
//! Verdict: crashed

mod hostile;

fn main() {
    hostile::begin();
    // SAFETY: raise(3) takes a number; the default action ends the process.
    unsafe {
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        libc::raise(libc::SIGSEGV);
    }
}
