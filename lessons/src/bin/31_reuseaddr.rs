//! Why “address in use” after a restart?
//!
//! The side that closes a TCP connection first keeps it for a minute, in TIME-WAIT.
//! If that was a server, bind(2) refuses its port to the next, unless both agreed.
//! Predict: the new server sets SO_REUSEADDR, the old one had not. Does it start?
//! Neighbours: 27_handshake, 29_shutdown, 30_reset.

use lessons::net::{self, State, Tcp};
use lessons::{observe, prove, step, until};
use libc::{SO_REUSEADDR, SOL_SOCKET};
use nix::errno::Errno::{self, EADDRINUSE};
use nix::sys::socket::{setsockopt, sockopt::ReusePort};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

fn main() -> anyhow::Result<()> {
    lessons::open("Why “address in use” after a restart?");

    step("A server closes its client's connection and ends. A new one starts.");
    let address = old_server(Old::SetsNothing)?;
    let Tcp { state, inode, .. } = sockets_at(address)?[0];
    let start = new_server(address, false);
    observe("left of the old server", format!("{state}, inode {inode}"));
    observe("the new server", format!("{start:?}"));
    prove("no process has it open", inode == 0)?;
    prove("yet its port is in use", start == Err(EADDRINUSE))?;

    step("The same, but the client closes first.");
    let address = old_server(Old::ClosesLast)?;
    let (left, start) = (sockets_at(address)?.len(), new_server(address, false));
    observe("sockets left at its port", left);
    observe("the new server", format!("{start:?}"));
    prove("TIME-WAIT is with the side that closed first", start.is_ok())?;

    step("The server closes first. Who sets SO_REUSEADDR?");
    let mut starts = Vec::new();
    for (who, old, new) in [
        ("neither", Old::SetsNothing, false),
        ("the old one", Old::SetsIt, false),
        ("the new one", Old::SetsNothing, true),
        ("both", Old::SetsIt, true),
        ("new one, old connection", Old::SetsItOnConnection, true),
    ] {
        let start = new_server(old_server(old)?, new);
        observe(who, format!("{start:?}"));
        starts.push(start.is_ok());
    }
    prove("both must, on Linux", starts[..4] == [false, false, false, true])?;
    prove("of the old one it is the connection that counts", starts[4])?;

    step("“getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, &size) sets it.”");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let (mut one, mut size) = (1, 4);
    let (fd, value) = (socket.as_raw_fd(), (&raw mut one).cast());
    // SAFETY: `value` is the address of an int, and its size is 4.
    let result =
        unsafe { libc::getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, value, &mut size) };
    observe("it returns, and `one` is", format!("{result}, {one}"));
    prove("it reads, it sets nothing", one == 0 && !socket.reuse_address()?)?;

    step("A listener of std is alive. A new server sets SO_REUSEADDR.");
    let live = TcpListener::bind("127.0.0.1:0")?;
    let set = SockRef::from(&live).reuse_address()?;
    let start = new_server(live.local_addr()?, true);
    observe("the listener has SO_REUSEADDR", set);
    observe("the new server", format!("{start:?}"));
    prove("who listens keeps the port", set && start == Err(EADDRINUSE))?;

    step("Two servers set SO_REUSEPORT, bind to one port and listen.");
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let servers = [socket, Socket::new(Domain::IPV4, Type::STREAM, None)?];
    for server in &servers {
        setsockopt(server, ReusePort, &true)?;
        server.bind(&address.into())?;
        server.listen(1)?;
        address = server.local_addr()?.as_socket().expect("IPv4");
    }
    let states: Vec<State> = sockets_at(address)?.iter().map(|s| s.state).collect();
    observe("at this port", format!("{}, {}", states[0], states[1]));
    prove("so two may listen", states == [State::Listen; 2])
}

#[derive(PartialEq)]
enum Old {
    SetsNothing,
    SetsIt,
    SetsItOnConnection,
    ClosesLast,
}

/// A server that had one client has ended. Returns its address.
fn old_server(old: Old) -> anyhow::Result<SocketAddr> {
    let listener =
        server(SocketAddr::from(([127, 0, 0, 1], 0)), old == Old::SetsIt)?;
    let address = listener.local_addr()?.as_socket().expect("IPv4");
    let client = TcpStream::connect(address)?;
    let (remote, connection) = (client.local_addr()?, listener.accept()?.0);
    if old == Old::SetsItOnConnection {
        connection.set_reuse_address(true)?;
    }
    let (first, mut last, end) = match old {
        Old::ClosesLast => (client, TcpStream::from(connection), State::Closed),
        _ => (connection.into(), client, State::TimeWait),
    };
    drop::<TcpStream>(first);
    assert_eq!(last.read(&mut [0])?, 0); // The FIN has arrived.
    drop(last);
    until("both have closed", || Ok(net::state(address, remote)? == end))?;
    Ok(address)
}

fn new_server(address: SocketAddr, reuse: bool) -> nix::Result<()> {
    let errno = |e: io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0));
    server(address, reuse).map(drop).map_err(errno)
}

fn server(address: SocketAddr, reuse: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(reuse)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket)
}

/// What /proc/net/tcp has at this local address.
fn sockets_at(address: SocketAddr) -> anyhow::Result<Vec<Tcp>> {
    Ok(net::tcp()?.into_iter().filter(|s| s.local == address).collect())
}
