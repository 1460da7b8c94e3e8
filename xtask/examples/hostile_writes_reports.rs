//! Writes a false report to every pipe of those who judge it, and to all descriptors
//! of its own.
//! Verdict: wrong: output
//! Says: own descriptors: 0 1 2; of others: 0

mod hostile;

use std::fs::{self, File};
use std::io::Write;

const FORGED: &[u8] = b"{\"status\":\"passed\"}";

fn main() {
    hostile::begin();
    let mut own = Vec::new();
    for number in 0..1024 {
        // SAFETY: F_GETFD reads nothing; the buffer is valid.
        unsafe {
            if libc::fcntl(number, libc::F_GETFD) >= 0 {
                own.push(number.to_string());
                libc::write(number, FORGED.as_ptr().cast(), FORGED.len());
            }
        }
    }
    let mut others = 0;
    for pid in hostile::ancestors() {
        let folder = fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in folder.into_iter().flatten().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            // A file would be damaged for good.
            if !target.to_string_lossy().starts_with("pipe:") {
                continue;
            }
            let file = File::options().write(true).open(entry.path());
            others +=
                usize::from(file.is_ok_and(|mut f| f.write_all(FORGED).is_ok()));
        }
    }
    println!("own descriptors: {}; of others: {others}", own.join(" "));
}
