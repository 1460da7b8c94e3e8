//! Makes a hundred thousand empty files.
//! Verdict: too much: disk

mod hostile;

fn main() {
    hostile::begin();
    for number in 0..100_000 {
        let _ = std::fs::write(number.to_string(), "");
    }
    hostile::pause();
}
