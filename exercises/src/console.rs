//! Commands on standard input, one a line; those that may block run in threads of
//! their own.

use std::io::BufRead;

/// Hands the words of each line of standard input to `obey`, which says whether they
/// are a command.
pub fn commands(
    usage: &str,
    mut obey: impl FnMut(&[&str]) -> bool,
) -> std::process::ExitCode {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return std::process::ExitCode::FAILURE };
        let words: Vec<&str> = line.split_whitespace().collect();
        if !words.is_empty() && !obey(&words) {
            eprintln!("{line}: not a command; {usage}");
        }
    }
    std::process::ExitCode::SUCCESS
}

/// Runs something in a thread of its own, which is not waited for.
pub fn detach(name: &str, run: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().name(name.to_owned());
    if let Err(e) = builder.spawn(run) {
        eprintln!("{name}: {e}");
    }
}

/// A gate that holds threads back until it is opened; then it is closed again.
#[derive(Default)]
pub struct Gate {
    opened: std::sync::Mutex<u64>,
    changed: std::sync::Condvar,
}

impl Gate {
    /// Waits until the gate is opened the next time.
    pub fn pass(&self) {
        let opened = self.opened.lock().expect("nobody panics here");
        let before = *opened;
        let closed = |opened: &mut u64| *opened == before;
        drop(self.changed.wait_while(opened, closed));
    }

    /// Lets all pass that wait.
    pub fn open(&self) {
        *self.opened.lock().expect("nobody panics here") += 1;
        self.changed.notify_all();
    }
}
