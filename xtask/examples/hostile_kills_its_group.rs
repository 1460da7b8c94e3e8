//! Sends SIGKILL to its own process group.
//! Verdict: crashed

mod hostile;

fn main() {
    hostile::begin();
    // SAFETY: kill(2) takes numbers.
    unsafe { libc::kill(0, libc::SIGKILL) };
}
