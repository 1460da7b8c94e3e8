//! Prints a little all the time, so that its output is never complete and never too
//! much.
//! Verdict: hung

mod hostile;

use std::io::Write;
use std::time::Duration;

fn main() {
    hostile::begin();
    loop {
        let _ = std::io::stdout().write_all(b"\n");
        std::thread::sleep(Duration::from_micros(10));
    }
}
