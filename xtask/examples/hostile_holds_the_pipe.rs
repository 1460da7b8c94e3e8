//! Ends well, but a child of it goes on and keeps all its pipes open.
//! Verdict: wrong: output

mod hostile;

fn main() {
    hostile::begin();
    hostile::child(hostile::pause);
    std::process::exit(0);
}
