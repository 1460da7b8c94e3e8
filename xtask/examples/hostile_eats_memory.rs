//! Takes a gibibyte of memory, piece by piece.
//! Verdict: too much: memory

mod hostile;

fn main() {
    hostile::begin();
    let eaten: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 16 << 20]).collect();
    hostile::pause();
    drop(eaten);
}
