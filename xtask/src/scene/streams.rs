//! The program's standard input, output and errors.

use crate::cage::limits;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};

/// What the case sends to the program.
pub(super) struct Input {
    /// None once it is closed.
    pub(super) pipe: Option<PipeWriter>,
    /// What the pipe did not take yet.
    pub(super) unsent: Vec<u8>,
    pub(super) close_when_sent: bool,
}

/// What the program prints.
pub(super) struct Output {
    pub(super) pipe: Option<PipeReader>,
    pub(super) text: Vec<u8>,
    pub(super) lines: usize,
    /// Nothing is to be read yet.
    pub(super) held: bool,
    /// Bytes still to come that the program has not written.
    pub(super) filler: usize,
}

impl Input {
    pub(super) fn new(pipe: PipeWriter) -> Input {
        Input { pipe: Some(pipe), unsent: Vec::new(), close_when_sent: false }
    }

    /// True if some of it went out.
    pub(super) fn send_more(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut sent = false;
        while !self.unsent.is_empty() {
            match pipe.write(&self.unsent) {
                Ok(n) => {
                    self.unsent.drain(..n);
                    sent = true;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // It does not read any more; whether it had to is for the case to say.
                Err(_) => self.unsent.clear(),
            }
        }
        if self.unsent.is_empty() && self.close_when_sent {
            self.pipe = None;
            sent = true;
        }
        sent
    }
}

impl Output {
    pub(super) fn new(pipe: PipeReader) -> Output {
        Output {
            pipe: Some(pipe),
            text: Vec::new(),
            lines: 0,
            held: false,
            filler: 0,
        }
    }

    /// True if something was read.
    pub(super) fn drain(&mut self) -> bool {
        let mut read = false;
        let mut buffer = [0; 16384];
        while let (false, Some(pipe)) = (self.held, &mut self.pipe) {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    read = true;
                    let filler = self.filler.min(n);
                    self.filler -= filler;
                    let new = &buffer[filler..n];
                    self.text.extend_from_slice(new);
                    self.lines += new.iter().filter(|&&byte| byte == b'\n').count();
                    if self.text.len() > 2 * limits::OUTPUT {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        read
    }

    pub(super) fn as_text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}
