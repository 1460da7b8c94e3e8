//! Removes what is in its working folder, and the folder; makes another one if it
//! can, and writes a gibibyte.
//! Verdict: too much: disk
//! Without namespaces: needs Landlock

mod hostile;

use std::fs;

fn main() {
    hostile::begin();
    let here = std::env::current_dir().unwrap_or_default();
    for entry in fs::read_dir(&here).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    let _ = fs::remove_dir(&here);
    let _ = fs::create_dir(&here);
    for number in 0..128 {
        let _ = fs::write(here.join(number.to_string()), vec![1; 8 << 20]);
    }
    hostile::pause();
}
