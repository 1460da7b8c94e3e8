//! When is readiness reported?
//!
//! epoll keeps in the kernel whom you watch and who is ready. Level-triggered it
//! reports what is the case; edge-triggered, what has come since it last did.
//! Predict: five bytes come, nobody reads. Of three calls, how many report them?
//! Neighbours: 41_select, 44_epoll_server.

use anyhow::Context;
use lessons::proc::{self, EPOLL_WAIT};
use lessons::{observe, prove, step, until};
use nix::errno::Errno::EAGAIN;
use nix::sys::epoll::EpollFlags as Flags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::{read, write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

const LEVEL: Flags = Flags::EPOLLIN;
const EDGE: Flags = Flags::EPOLLIN.union(Flags::EPOLLET);
const ONE_SHOT: Flags = Flags::EPOLLIN.union(Flags::EPOLLONESHOT);

fn main() -> anyhow::Result<()> {
    lessons::open("When is readiness reported?");

    step("Level-triggered. Five bytes come. Three calls, nobody reads.");
    let (_socket, peer, epoll) = watched(LEVEL)?;
    observe("on the kernel's list", list(&epoll)?);
    write(&peer, b"hello")?;
    let level = [reports(&epoll)?, reports(&epoll)?, reports(&epoll)?];
    observe("reported", format!("{level:?}"));
    prove("it reports what is: something can be read", level == [1, 1, 1])?;

    step("Edge-triggered. The same, and three bytes more; still nobody reads.");
    let (socket, peer, epoll) = watched(EDGE)?;
    observe("on the kernel's list", list(&epoll)?);
    write(&peer, b"hello")?;
    let mut edge = vec![reports(&epoll)?, reports(&epoll)?];
    write(&peer, b"you")?;
    edge.push(reports(&epoll)?);
    observe("reported", format!("{edge:?}"));
    prove("once for the five, and once more for the new ones", edge == [1, 0, 1])?;

    step("Edge-triggered. It was reported, and four of the eight are read.");
    let took = read(&socket, &mut [0; 4]);
    // The peer has sent all of its question and waits for the answer.
    let left = std::thread::scope(|scope| {
        let server = scope.spawn(|| epoll.wait(&mut [EMPTY], EpollTimeout::NONE));
        until("it sleeps", || Ok(proc::blocked_in(EPOLL_WAIT)?.len() == 1))?;
        let left = unread(&socket);
        write(&peer, b"?")?;
        server.join().expect("it does not panic")?;
        anyhow::Ok(left)
    })?;
    observe("read, and left", format!("{took:?}, {left:?}"));
    observe("meanwhile the server", "slept in epoll_wait(2)");
    prove("it sleeps, and there is something to read", left == Ok(4))?;

    step("A ninth byte has woken it. Now it reads until EAGAIN.");
    let reads = [0; 3].map(|_| read(&socket, &mut [0; 4]));
    let drained = reports(&epoll)?;
    write(&peer, b"again")?;
    let new = reports(&epoll)?;
    observe("read", format!("{reads:?}"));
    observe("reported, and after new bytes", format!("{drained}, {new}"));
    prove("it leaves nothing behind", reads == [Ok(4), Ok(1), Err(EAGAIN)])?;
    prove("so all that comes is new, and reported", (drained, new) == (0, 1))?;

    step("One-shot. Five bytes, five more; then it is asked for once again.");
    let (socket, peer, epoll) = watched(ONE_SHOT)?;
    write(&peer, b"hello")?;
    let mut shots = vec![reports(&epoll)?];
    write(&peer, b"hello")?;
    shots.push(reports(&epoll)?);
    observe("on the kernel's list", list(&epoll)?);
    epoll.modify(&socket, &mut EpollEvent::new(ONE_SHOT, 0))?;
    shots.push(reports(&epoll)?);
    observe("reported", format!("{shots:?}"));
    prove("once, and not again until EPOLL_CTL_MOD", shots == [1, 0, 1])?;

    step("Edge-triggered, reported, not read: what does EPOLL_CTL_MOD do there?");
    let (socket, peer, epoll) = watched(EDGE)?;
    write(&peer, b"hello")?;
    let mut edge = vec![reports(&epoll)?, reports(&epoll)?];
    epoll.modify(&socket, &mut EpollEvent::new(EDGE, 0))?;
    edge.push(reports(&epoll)?);
    observe("reported", format!("{edge:?}"));
    prove("it looks again, and reports what is there", edge == [1, 0, 1])?;

    step("Interest in writing. There is room, and there is nothing to write.");
    let (_socket, _peer, epoll) = watched(Flags::EPOLLOUT)?;
    let level = [reports(&epoll)?, reports(&epoll)?, reports(&epoll)?];
    let (_socket, _peer, epoll) = watched(Flags::EPOLLOUT | Flags::EPOLLET)?;
    let edge = [reports(&epoll)?, reports(&epoll)?, reports(&epoll)?];
    observe("level, edge", format!("{level:?}, {edge:?}"));
    prove("level-triggered, epoll_wait would never sleep", level == [1, 1, 1])?;
    prove("edge-triggered it says once that there is room", edge == [1, 0, 0])
}

const EMPTY: EpollEvent = EpollEvent::new(Flags::empty(), 0);

/// A socket that does not wait, its peer, and an epoll that watches the socket.
fn watched(flags: Flags) -> anyhow::Result<(UnixStream, UnixStream, Epoll)> {
    let (socket, peer) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&socket, EpollEvent::new(flags, 0))?;
    Ok((socket, peer, epoll))
}

/// How many descriptors are reported as ready now.
fn reports(epoll: &Epoll) -> nix::Result<usize> {
    epoll.wait(&mut [EMPTY; 8], EpollTimeout::ZERO)
}

/// What the kernel has on the list: the flags of the one that is watched.
fn list(epoll: &Epoll) -> anyhow::Result<String> {
    let list = proc::watched(proc::own_pid(), epoll.0.as_raw_fd())?;
    let one = list.first().context("nothing is watched")?;
    let flags = Flags::from_bits_truncate(one.flags as i32);
    Ok(flags.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(", "))
}

fn unread(socket: &UnixStream) -> nix::Result<usize> {
    recv(socket.as_raw_fd(), &mut [0; 16], MsgFlags::MSG_PEEK)
}
