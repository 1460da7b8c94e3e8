//! Ignores all signals that can be ignored, and stays.
//! Verdict: hung

mod hostile;

fn main() {
    hostile::begin();
    let leash = hostile::Leash::new();
    for signal in 1..=64 {
        // SAFETY: SIG_IGN is no handler; for SIGKILL and SIGSTOP the call fails.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    while leash.holds() {
        std::hint::spin_loop();
    }
}
