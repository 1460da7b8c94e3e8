//! Sends SIGKILL to every process it may send it to.
//! Verdict: wrong: output

mod hostile;

fn main() {
    hostile::begin();
    // SAFETY: kill(2) takes numbers. Whoever judges with root's rights has given
    // them up.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}
