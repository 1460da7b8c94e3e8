//! When is a client connected?
//!
//! Three segments make a connection: SYN, its answer SYN-ACK, and ACK. The kernels
//! exchange them. accept(2) has no part in it: it takes what is finished.
//! Predict: a server listens and never calls accept(2). Does connect(2) return?
//! Neighbours: 26_address, 29_shutdown, 36_iterative.

use anyhow::{Context, Result};
use lessons::net::{self, Both, State::*};
use lessons::{lossy, observe, prove, step, until};
use nix::errno::Errno::{ECONNREFUSED, EINPROGRESS};
use nix::sys::stat::fstat;
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};

fn main() -> Result<()> {
    lessons::open("When is a client connected?");

    step("A socket has a port and does not listen. A client connects to that port.");
    let listener = bound_to(Ipv4Addr::UNSPECIFIED)?;
    let any = address(&listener)?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, any.port()));
    let refused = connect(&tcp_socket()?, server);
    observe("connect(2)", format!("{refused:?}"));
    prove("a port is not enough", refused == Err(ECONNREFUSED))?;

    step("Now it listens. A client connects, and nobody calls accept(2).");
    listener.listen(8)?;
    let client = tcp_socket()?;
    let before = address(&client)?;
    connect(&client, server)?;
    let after = address(&client)?;
    until("it can be accepted", || Ok(net::backlog(any)? == 1))?;
    let states = net::both(after, server)?;
    let no_inode = inode(server, after)?;
    observe("the client before, after", format!("{before}, {after}"));
    observe("client, server", states);
    observe("waiting for accept(2) (Recv-Q)", net::backlog(any)?);
    prove("connect(2) chose the port", before.port() == 0 && after.port() != 0)?;
    let connected = Both(Established, Established);
    prove("both are connected before accept(2)", states == connected)?;

    step("accept(2).");
    let (accepted, _) = listener.accept()?;
    let its_inode = inode(server, after)?;
    observe("still waiting", net::backlog(any)?);
    observe("inode of the server's end", format!("{no_inode}, then {its_inode}"));
    observe("the listening socket is at", address(&listener)?);
    observe("the accepted one", address(&accepted)?);
    let given = no_inode == 0 && its_inode == fstat(&accepted)?.st_ino;
    prove("it gave the connection a descriptor, no more", given)?;
    prove("0.0.0.0 stands for any address", address(&listener)? == any)?;
    prove("here is the one in use, port included", address(&accepted)? == server)?;

    step("Three more clients. Each time the network loses one of the segments.");
    let mut seen = Vec::new();
    for (lost, left) in [
        ("SYN", Both(SynSent, Closed)),
        ("SYN-ACK", Both(SynSent, SynReceived)),
        ("ACK", Both(Established, SynReceived)),
    ] {
        let (listener, client) = (bound_to(Ipv4Addr::LOCALHOST)?, tcp_socket()?);
        listener.listen(8)?;
        match lost {
            "SYN" => lossy::lose(&listener)?,
            "SYN-ACK" => lossy::lose(&client)?,
            _ => lossy::lose_the_ack(&listener)?,
        }
        let (from, to) = begin(&client, &listener)?;
        until("it has come as far as it can", || Ok(net::both(from, to)? == left))?;
        seen.push(net::both(from, to)?);
        observe(&format!("{lost} lost: client, server"), seen[seen.len() - 1]);
        if lost == "ACK" {
            client.send(b"hello")?;
            until("it can be accepted", || Ok(net::backlog(to)? == 1))?;
            seen.push(net::both(from, to)?);
            observe("then the client sends", seen[seen.len() - 1]);
        }
    }
    prove("SYN-ACK connects the client", seen[2] == Both(Established, SynReceived))?;
    prove("the next ACK connects the server", seen[3] == connected)?;

    step("A backlog of 2, and four clients. Nobody calls accept(2).");
    let listener = bound_to(Ipv4Addr::LOCALHOST)?;
    listener.listen(2)?;
    let (mut clients, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (client, before) = (tcp_socket()?, clients.len());
        let (from, to) = begin(&client, &listener)?;
        until("it waits, or its SYN was dropped", || {
            Ok(net::backlog(to)? > before || net::dropped(&listener)? > 0)
        })?;
        seen.push(net::both(from, to)?);
        observe("client, server", seen[before]);
        clients.push(client);
    }
    prove("backlog + 1 are connected", seen[..3] == [connected; 3])?;
    prove("the next is not refused, it waits", seen[3] == Both(SynSent, Closed))
}

fn tcp_socket() -> std::io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, None)
}

/// A socket at this address, and at a port that the kernel picks.
fn bound_to(address: Ipv4Addr) -> std::io::Result<Socket> {
    let socket = tcp_socket()?;
    socket.bind(&SocketAddr::from((address, 0)).into())?;
    Ok(socket)
}

fn connect(client: &Socket, server: SocketAddr) -> nix::Result<()> {
    client.connect(&server.into()).map_err(|e| e.try_into().expect("an errno"))
}

/// connect(2) that does not wait. Where the client is, and whom it calls.
fn begin(client: &Socket, listener: &Socket) -> Result<(SocketAddr, SocketAddr)> {
    client.set_nonblocking(true)?;
    assert_eq!(connect(client, address(listener)?), Err(EINPROGRESS));
    Ok((address(client)?, address(listener)?))
}

fn address(socket: &Socket) -> Result<SocketAddr> {
    socket.local_addr()?.as_socket().context("not an address of IP")
}

/// The inode of one end; 0 if no descriptor leads to it.
fn inode(local: SocketAddr, remote: SocketAddr) -> Result<u64> {
    Ok(net::connection(local, remote)?.context("no such connection")?.inode)
}
