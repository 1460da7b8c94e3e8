//! Closes all its descriptors, and stays.
//! Verdict: hung

mod hostile;

fn main() {
    hostile::begin();
    // SAFETY: nothing here uses a descriptor after this.
    unsafe { libc::close_range(0, u32::MAX, 0) };
    hostile::pause();
}
