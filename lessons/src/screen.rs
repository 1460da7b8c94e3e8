//! How a lesson looks: widths from 40 columns up, colour on a terminal only, and a reader that
//! goes away (`| head`) ends the lesson quietly.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Column in which the values of observations stand, where the terminal is wide enough.
const VALUE_COLUMN: usize = 36;

static STEP: AtomicUsize = AtomicUsize::new(0);

/// Writes one line (or more, if it wraps) to standard output.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Nobody reads any more: there is nobody to prove anything to.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => {
            eprintln!("cannot write to standard output: {e}");
            std::process::exit(2)
        }
        Ok(()) => {}
    }
}

/// Says what is going on, on a terminal only; the next call, with nothing to say, removes it.
pub fn progress(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        // Whether it can be seen does not matter.
        let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
    }
}

pub fn title(name: &str, question: &str) -> String {
    let text = wrap(question, name.chars().count() + 3);
    format!("{}   {text}", bold(name))
}

pub fn step(title: &str) -> String {
    let number = STEP.fetch_add(1, Ordering::Relaxed) + 1;
    format!("{:<3}{}", number, bold(&wrap(title, 3)))
}

pub fn observation(label: &str, value: &str) -> String {
    let column = VALUE_COLUMN.min(width() / 2);
    if 5 + label.chars().count() < column {
        format!("     {label:<pad$}{}", wrap(value, column), pad = column - 5)
    } else {
        format!("     {}\n{:column$}{}", wrap(label, 5), "", wrap(value, column))
    }
}

pub fn proof(claim: &str) -> String {
    format!("   {} {}", green("✓"), wrap(claim, 5))
}

/// Breaks `text` at spaces so that it fits the terminal when its first line starts in column
/// `indent`; further lines start there too.
pub fn wrap(text: &str, indent: usize) -> String {
    let room = width().saturating_sub(indent).max(16);
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut wrapped = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        } else if used > 0 {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += length;
    }
    wrapped
}

/// Columns of the terminal, 40 at least; 80 where there is none or it does not say.
pub fn width() -> usize {
    let mut size =
        libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize to the valid address it is given.
    let result =
        unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    if result == 0 && size.ws_col > 0 {
        usize::from(size.ws_col).max(40)
    } else {
        80
    }
}

fn bold(text: &str) -> String {
    paint("1", text)
}

fn green(text: &str) -> String {
    paint("32", text)
}

fn paint(code: &str, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !std::io::stdout().is_terminal() {
        text.to_owned()
    } else {
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
