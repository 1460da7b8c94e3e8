//! Files that have no content, or no room, before the case wants it.

use super::{Outcome, Scene, Stop, Waiting, unavailable, waiting};
use crate::cage::limits;
use anyhow::Result;
use lessons::proc;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;

/// A file that has no content and no end until it is opened ([`Scene::gate`]), or
/// that takes nothing until there is room ([`Scene::full_gate`]).
pub struct Gate {
    fifo: std::fs::File,
    /// Bytes in it that the program has not written.
    filler: usize,
}

impl Gate {
    /// Gives the readers this content and then the end of the file. They must have opened it:
    /// see [`Scene::wait_for_readers`].
    pub fn open(mut self, content: &str) -> Outcome {
        match self.fifo.write_all(content.as_bytes()) {
            // The program itself has filled it: so be it.
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result.map_err(unavailable),
        }
    }

    /// Takes out what the program has written by now, and so makes room for more.
    pub fn take(&mut self) -> Result<String, Stop> {
        let mut taken = Vec::new();
        // A program that writes without end must not keep the case here.
        let mut some = (&self.fifo).take(limits::OUTPUT as u64);
        match some.read_to_end(&mut taken) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => {
                return Err(unavailable(e));
            }
            _ => {}
        }
        let filler = self.filler.min(taken.len());
        self.filler -= filler;
        Ok(String::from_utf8_lossy(&taken[filler..]).into_owned())
    }

    /// Fills it until it takes no more.
    fn fill(&mut self) -> Result<()> {
        // A pipe of one page: the kernel rounds up.
        fcntl(&self.fifo, FcntlArg::F_SETPIPE_SZ(1))?;
        loop {
            match self.fifo.write(&[b'.'; 4096]) {
                Ok(n) => self.filler += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Whether the descriptor of the process is this file.
    fn is(&self, pid: i32, fd: i32) -> bool {
        let theirs = std::fs::metadata(format!("/proc/{pid}/fd/{fd}"));
        match (theirs, self.fifo.metadata()) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
            _ => false,
        }
    }
}

impl Scene {
    /// Makes a file in the working folder whose content is not there yet: who reads it waits until
    /// the case opens the gate.
    pub fn gate(&mut self, name: &str) -> Result<Gate, Stop> {
        let make = || -> Result<std::fs::File> {
            nix::unistd::mkfifo(
                name,
                nix::sys::stat::Mode::from_bits_truncate(0o666),
            )?;
            // Open for both, so that nobody waits for the other side to open it.
            let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let fd = nix::fcntl::open(name, flags, nix::sys::stat::Mode::empty())?;
            Ok(fd.into())
        };
        Ok(Gate { fifo: make().map_err(unavailable)?, filler: 0 })
    }

    /// Makes a file in the working folder that is full: who writes to it waits until
    /// the case makes room with [`Gate::take`] (F_SETPIPE_SZ of fcntl(2), pipe(7)).
    pub fn full_gate(&mut self, name: &str) -> Result<Gate, Stop> {
        let mut gate = self.gate(name)?;
        gate.fill().map_err(unavailable)?;
        Ok(gate)
    }

    /// How many threads of the program and its children wait for content of this
    /// gate, or for room in it.
    pub fn waiting_at(&self, gate: &Gate) -> usize {
        self.processes_at(gate).len()
    }

    /// The processes of these threads; one that waits with several threads is named
    /// as often.
    pub fn processes_at(&self, gate: &Gate) -> Vec<i32> {
        let mut processes = Vec::new();
        for pid in self.everybody() {
            for tid in proc::tids(pid).unwrap_or_default() {
                if let Waiting::Read(fd) | Waiting::Write(fd) =
                    waiting::asleep_in(pid, tid)
                    && gate.is(pid, fd)
                {
                    processes.push(pid);
                }
            }
        }
        processes
    }
}
