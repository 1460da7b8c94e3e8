//! Starts one thread after the other, and none ends.
//! Verdict: too much: tasks

mod hostile;

fn main() {
    hostile::begin();
    let leash = hostile::Leash::new();
    let mut started = 0;
    while leash.holds() && started < 5000 {
        let thread = std::thread::Builder::new().stack_size(16 << 10);
        match thread.spawn(std::thread::park) {
            Ok(_) => started += 1,
            Err(_) => std::thread::yield_now(),
        }
    }
}
