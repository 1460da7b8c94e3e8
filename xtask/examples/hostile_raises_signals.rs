//! Sends itself a signal it ignores, over and over: each stops a process that is
//! traced.
//! Verdict: hung
//! Exercise: exercise1

mod hostile;

fn main() {
    hostile::begin();
    let leash = hostile::Leash::new();
    // SAFETY: SIG_IGN is no handler, raise(3) takes a number.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    while leash.holds() {
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGUSR1) };
    }
}
