//! Fills the file whose content the case wants to write itself, and looks like its
//! reader.
//! Verdict: wrong: output

mod hostile;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

fn main() {
    hostile::begin();
    let flags = libc::O_RDWR | libc::O_NONBLOCK;
    let gate =
        File::options().read(true).write(true).custom_flags(flags).open("slow");
    if let Ok(mut gate) = gate {
        while gate.write(&[b'x'; 4096]).is_ok() {}
        if let Ok((mut pipe, _writer)) = std::io::pipe() {
            let _ = pipe.read(&mut [0]);
        }
    }
}
