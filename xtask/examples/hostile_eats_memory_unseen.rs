//! Takes a gibibyte of memory after it has made itself opaque to other processes.
//! Verdict: too much: memory

mod hostile;

fn main() {
    hostile::begin();
    // SAFETY: PR_SET_DUMPABLE takes a number.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    let eaten: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 16 << 20]).collect();
    hostile::pause();
    drop(eaten);
}
