//! A process that starts another and ends, over and over: it has another number
//! whenever somebody looks.
//! Verdict: hung
//! Without namespaces: needs Landlock for signals

mod hostile;

fn main() {
    hostile::begin();
    let leash = hostile::Leash::new();
    for _ in 0..4 {
        hostile::child(|| {
            while leash.holds() {
                // The parent ends, the child goes on.
                // SAFETY: this process has one thread.
                if unsafe { libc::fork() } > 0 {
                    return;
                }
            }
        });
    }
    hostile::pause();
}
