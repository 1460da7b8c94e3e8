//! Sleeps again and again, for ever.
//! Verdict: hung

mod hostile;

use std::time::Duration;

fn main() {
    hostile::begin();
    loop {
        std::thread::sleep(Duration::from_millis(5));
    }
}
