//! Makes a folder in a folder in a folder, until no path is long enough to name the
//! last.
//! Verdict: wrong: output

mod hostile;

fn main() {
    hostile::begin();
    for _ in 0..3000 {
        let _ = std::fs::create_dir("deeper");
        let _ = std::env::set_current_dir("deeper");
    }
}
