//! Writes to standard error as fast as it can.
//! Verdict: too much: output

mod hostile;

use std::io::Write;

fn main() {
    hostile::begin();
    let leash = hostile::Leash::new();
    while leash.holds() {
        let _ = std::io::stderr().write_all(&[b'x'; 65536]);
    }
}
