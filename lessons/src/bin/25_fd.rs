//! Is a socket a file?
//!
//! A process knows what it has open by numbers: files, pipes and sockets alike. The
//! same calls read, write and close them. What is behind a number decides the rest.
//! Predict: standard input is closed, then a socket is made. Which number has it?
//! Neighbours: 13_fork, 20_pipe, 27_handshake.

use anyhow::Context;
use lessons::net::{self, State};
use lessons::{observe, prove, step};
use nix::errno::Errno::ESPIPE;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Whence, close, dup, dup2_stdin, lseek, read, write};
use std::fs::{File, read_dir, read_link};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

fn main() -> anyhow::Result<()> {
    lessons::open("Is a socket a file?");

    step("Standard input, number 0, is closed. Then a socket is made.");
    let free = lowest_free()?;
    let first = tcp_socket()?;
    let usual = first.as_raw_fd();
    let stdin = dup(std::io::stdin())?;
    close(0)?;
    let second = tcp_socket()?;
    let reused = second.as_raw_fd();
    // It gives standard input back its number; the socket is closed by that.
    dup2_stdin(&stdin)?;
    std::mem::forget(second);
    observe("the lowest free number", free);
    observe("a socket got", usual);
    observe("with number 0 free, one got", reused);
    prove("the lowest free number is taken", usual == free && reused == 0)?;

    step("A file, a pipe and a listening socket.");
    let file = File::open("/dev/null")?;
    let (reader, _writer) = std::io::pipe()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let fds = [file.as_raw_fd(), reader.as_raw_fd(), listener.as_raw_fd()];
    let links = fds.map(|fd| link(fd).unwrap_or_default());
    for (fd, link) in fds.iter().zip(&links) {
        observe(&format!("/proc/self/fd/{fd}"), link);
    }
    let row = net::tcp()?.into_iter().find(|s| links[2] == inode_link(s.inode));
    let address = row.context("no such inode")?.local;
    observe("that inode in /proc/net/tcp", address);
    prove("one table for all of them", links[2].starts_with("socket:["))?;
    let kind = SFlag::from_bits_truncate(fstat(&listener)?.st_mode) & SFlag::S_IFMT;
    prove("fstat(2) says of it: S_IFSOCK", kind == SFlag::S_IFSOCK)?;
    prove("its inode leads to the socket", address == listener.local_addr()?)?;

    step(
        "A client connects; accept(2) returns one more number. Both read and write.",
    );
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let mut buffer = [0; 8];
    let written = write(&client, b"hello")?;
    let n = read(&server, &mut buffer)?;
    let numbers = [&listener.as_raw_fd(), &server.as_raw_fd(), &client.as_raw_fd()];
    observe("listening, accepted, client", format!("{numbers:?}"));
    observe("write(2), read(2)", format!("{written}, {n}"));
    prove("read(2) and write(2) work, as on a file", buffer[..n] == *b"hello")?;
    prove("what listens is not what talks", numbers[0] != numbers[1])?;

    step("lseek(2) on a regular file and on the socket.");
    let mut program = File::open("/proc/self/exe")?;
    let in_file = lseek(&mut program, 10, Whence::SeekSet);
    let in_socket = lseek(&client, 10, Whence::SeekSet);
    observe("lseek", format!("{in_file:?}, {in_socket:?}"));
    prove("a stream has no places, only a next byte", in_socket == Err(ESPIPE))?;

    step("dup(2) of the client. One of the two is closed, then the other.");
    let copy = dup(&client)?;
    let same = link(copy.as_raw_fd())? == link(client.as_raw_fd())?;
    let ends = (client.local_addr()?, server.local_addr()?);
    drop(client);
    let one_left = net::state(ends.0, ends.1)?;
    drop(copy);
    let none_left = read(&server, &mut buffer)?;
    observe("both are the same socket", same);
    observe("one is closed: its state", one_left);
    observe("both are: the server reads", none_left);
    prove("one closed: nothing happens", same && one_left == State::Established)?;
    prove("the last one closed: that is the end", none_left == 0)?;

    step("A program that is started by exec: what does it keep open?");
    let by_std = fcntl(&listener, FcntlArg::F_GETFD)?;
    let by_c = fcntl(&first, FcntlArg::F_GETFD)?;
    observe("FD_CLOEXEC: std's, C's socket", format!("{by_std}, {by_c}"));
    prove("std's is closed by exec, C's is kept", (by_std, by_c) == (1, 0))
}

/// socket(2), as C calls it.
fn tcp_socket() -> nix::Result<OwnedFd> {
    // SAFETY: it touches no memory of this process.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    nix::errno::Errno::result(fd)?;
    // SAFETY: the number is new, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a number leads to.
fn link(fd: i32) -> std::io::Result<String> {
    let target = read_link(format!("/proc/self/fd/{fd}"))?;
    Ok(target.to_string_lossy().into_owned())
}

fn inode_link(inode: u64) -> String {
    format!("socket:[{inode}]")
}

/// The lowest number that is not in the table of descriptors.
fn lowest_free() -> anyhow::Result<i32> {
    let folder = read_dir("/proc/self/fd")?;
    let mut taken = Vec::new();
    for entry in folder {
        taken.push(entry?.file_name().to_string_lossy().parse()?);
    }
    // The folder itself was one of them while it was read; it is closed now.
    taken.retain(|&fd| link(fd).is_ok());
    Ok((0..).find(|fd| !taken.contains(fd)).unwrap_or_default())
}
