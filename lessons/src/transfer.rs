//! Bytes of strangers, with a limit of time for all that is waited for: who sends or reads one byte
//! now and then would hold a thread for ever.

use nix::errno::Errno;
use nix::sys::sendfile::sendfile;
use std::fs::File;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How many bytes a second a stranger has to take or send, on average, when its `patience` is used
/// up.
const SLOWEST: u64 = 1024;

/// Reads from a stream up to a point in time; from then on, only what has arrived already.
///
/// It changes the stream's SO_RCVTIMEO, so whoever reads from that stream once in this way always
/// should.
pub struct Timed<'a> {
    stream: &'a TcpStream,
    start: Instant,
    limit: Duration,
}

impl Timed<'_> {
    /// From now on, for so long.
    pub fn new(stream: &TcpStream, limit: Duration) -> Timed<'_> {
        Timed { stream, start: Instant::now(), limit }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let left = self.limit.saturating_sub(self.start.elapsed());
            // A limit of 0 would mean none.
            let left = left.max(Duration::from_micros(1));
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(buffer) {
                // Stopped and continued, perhaps (signal(7)).
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                result => return result,
            }
        }
    }
}

/// Sends so many bytes straight from the file to the socket, whatever their number: sendfile(2).
/// `progress` hears how many have gone, and may break off.
///
/// # Errors
/// `UnexpectedEof` if the file is shorter; `TimedOut` if the other side takes too little, or none for
/// as long as the stream's limit for writing; else those of sendfile(2) and of `progress`.
pub fn send_file(
    stream: &TcpStream,
    file: &File,
    size: u64,
    patience: Duration,
    mut progress: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let (start, mut sent) = (Instant::now(), 0);
    while sent < size {
        let most = (size - sent).min(1 << 18) as usize;
        match sendfile(stream, file, None, most) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => sent += n as u64,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Err(ErrorKind::TimedOut.into()),
            Err(e) => return Err(e.into()),
        }
        if start.elapsed() > worth(sent, patience) {
            return Err(ErrorKind::TimedOut.into());
        }
        progress(sent)?;
    }
    Ok(())
}

/// Reads so many bytes of a stream into a file. `progress` hears how many have come, and may break
/// off.
///
/// # Errors
/// `UnexpectedEof` if there are fewer; `TimedOut` if none comes for as long as `patience`, or too
/// few; else those of read(2), write(2) and of `progress`.
pub fn receive_file(
    stream: &TcpStream,
    mut file: &File,
    size: u64,
    patience: Duration,
    mut progress: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let (start, mut come, mut buffer) = (Instant::now(), 0, vec![0; 1 << 16]);
    while come < size {
        let most = (size - come).min(buffer.len() as u64) as usize;
        match Timed::new(stream, patience).read(&mut buffer[..most])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => {
                file.write_all(&buffer[..n])?;
                come += n as u64;
            }
        }
        if start.elapsed() > worth(come, patience) {
            return Err(ErrorKind::TimedOut.into());
        }
        progress(come)?;
    }
    Ok(())
}

/// How long so many bytes may take.
fn worth(bytes: u64, patience: Duration) -> Duration {
    patience + Duration::from_secs(bytes / SLOWEST)
}

/// Ends a connection so that the other side can read the last answer: to close while there is
/// unread input would reset it (30_reset). Not for ever, and not for any number of bytes.
///
/// # Errors
/// Those of shutdown(2).
pub fn close(stream: &TcpStream) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(1);
    const MOST: u64 = 1 << 20;
    stream.shutdown(Shutdown::Write)?;
    let mut rest = Timed::new(stream, LONGEST).take(MOST);
    while let Ok(1..) = rest.read(&mut [0; 4096]) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::net::TcpListener;

    #[test]
    fn a_limit_of_time_ends_a_read_but_loses_nothing_that_has_arrived() {
        let (mut near, far) = pair();
        near.write_all(b"ab").unwrap();
        far.peek(&mut [0; 2]).unwrap();
        let mut timed = Timed::new(&far, Duration::ZERO);
        let mut both = [0; 2];
        timed.read_exact(&mut both).unwrap();
        assert_eq!(both, *b"ab");
        assert_eq!(timed.read(&mut both).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn who_takes_nothing_is_left() {
        let (near, _far) = pair();
        near.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
        let file: File =
            memfd_create("large", MFdFlags::MFD_CLOEXEC).unwrap().into();
        file.set_len(1 << 40).unwrap();
        let sent = send_file(&near, &file, 1 << 40, Duration::MAX / 2, |_| Ok(()));
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn who_reads_after_the_last_answer_finds_all_of_it() {
        let (mut near, mut far) = pair();
        near.write_all(&[1; 100_000]).unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            near.read_to_end(&mut all).map(|_| all)
        });
        far.write_all(&[2; 100_000]).unwrap();
        close(&far).unwrap();
        drop(far);
        assert_eq!(reader.join().unwrap().unwrap(), [2; 100_000]);
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }
}
