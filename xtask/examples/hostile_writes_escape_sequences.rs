//! Prints what would take over a terminal: escape sequences, bells, backspaces,
//! marks that turn the text round.
//! Verdict: wrong: output
//! Says: \u{1b}]0;passed

mod hostile;

fn main() {
    hostile::begin();
    println!("\x1b]0;passed\x07\x1b[2J\x1b[32m\u{2713} passed\r\x08");
    println!("\u{9b}31m\u{202e}\0\x7f");
}
