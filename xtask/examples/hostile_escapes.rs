//! Becomes a daemon: a session of its own, no parent, no descriptors of the judge's.
//! Verdict: wrong: output

mod hostile;

fn main() {
    hostile::begin();
    hostile::child(|| {
        // SAFETY: setsid(2) takes nothing, close_range(2) closes numbers that nobody
        // uses here.
        unsafe {
            libc::setsid();
            libc::close_range(0, u32::MAX, 0);
        }
        hostile::child(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    });
}
