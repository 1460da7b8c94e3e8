//! A network that loses segments on their way to one end of a connection, so that a sequence of
//! states can be watched one segment at a time. What is lost has never arrived, as far as TCP is
//! concerned: the sender repeats it after a while. Everybody may use it, and only on own sockets.

use anyhow::Result;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// From now on nothing arrives at this socket of IPv4, nor at those that it accepts: they want
/// segments with a time to live of 255 (IP_MINTTL), and these leave with 64.
///
/// # Errors
/// Those of setsockopt(2).
pub fn lose(socket: impl AsFd) -> Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, 255)
}

/// From now on everything arrives again; what was lost has to be repeated.
///
/// # Errors
/// Those of setsockopt(2).
pub fn lose_nothing(socket: impl AsFd) -> Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, 0)
}

/// The last segment of a handshake, the ACK, is as good as lost at this listener: one without data
/// is thrown away (TCP_DEFER_ACCEPT, tcp(7)).
///
/// # Errors
/// Those of setsockopt(2).
pub fn lose_the_ack(listener: impl AsFd) -> Result<()> {
    // In seconds; the kernel makes of it a number of repetitions, 1 at least.
    set(listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 20)
}

fn set(socket: impl AsFd, level: i32, option: i32, value: i32) -> Result<()> {
    let (fd, size) = (socket.as_fd().as_raw_fd(), size_of_val(&value) as u32);
    let value = (&raw const value).cast();
    // SAFETY: `value` is the address of an int, and these options read one.
    Errno::result(unsafe { libc::setsockopt(fd, level, option, value, size) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};

    #[test]
    fn what_is_lost_does_not_arrive_until_it_is_repeated() {
        let (mut client, mut server) = crate::net::connected().unwrap();
        lose(&server).unwrap();
        client.write_all(b"hello").unwrap();
        server.set_nonblocking(true).unwrap();
        let nothing = server.read(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        lose_nothing(&server).unwrap();
        server.set_nonblocking(false).unwrap();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 5);
    }
}
