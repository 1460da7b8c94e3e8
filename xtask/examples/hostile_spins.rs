//! Computes for ever.
//! Verdict: hung

mod hostile;

fn main() {
    hostile::begin();
    loop {
        std::hint::spin_loop();
    }
}
