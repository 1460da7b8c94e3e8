//! Panics with escape sequences in its message and in the name of its thread.
//! Verdict: crashed
//! Says: \u{1b}[32m

mod hostile;

fn main() {
    hostile::begin();
    let thread = std::thread::Builder::new().name("\x1b[2J".into());
    let _ = thread.spawn(|| ()).map(|thread| thread.join());
    panic!("\x1b[32m\u{2713} passed\x1b[0m\r\x07");
}
