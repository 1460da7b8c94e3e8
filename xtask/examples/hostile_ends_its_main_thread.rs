//! Its main thread has ended, another one goes on for ever.
//! Verdict: hung

mod hostile;

fn main() {
    hostile::begin();
    std::thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
    // SAFETY: ends the calling thread only; nothing in this frame needs dropping.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}
