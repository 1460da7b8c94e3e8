//! What does connect do to UDP?
//!
//! connect(2) on a UDP socket sends nothing. It notes the peer: the kernel fixes its
//! own address, lets nobody else through, and knows whom to tell of an ICMP error.
//! Predict: you send to a port where nobody is. Does sendto fail? The next recv?
//! Neighbours: 27_handshake, 32_udp.

use lessons::{net, net::until_arrived, observe, prove, step, until};
use nix::errno::Errno::{EAGAIN, ECONNREFUSED, EDESTADDRREQ, ENOTCONN};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, SockaddrIn, getpeername, recv, send};
use std::io::Result;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    lessons::open("What does connect do to UDP?");
    // It keeps the port free of others, is its own peer, and hears nobody else.
    let nobody = UdpSocket::bind("127.0.0.1:0")?;
    let there = nobody.local_addr()?;
    nobody.connect(there)?;

    step("A socket sends to a port where nobody is. It is not connected.");
    let open = UdpSocket::bind("0.0.0.0:0")?;
    let errors = || net::counter("Icmp", "InDestUnreachs");
    let (before, sent) = (errors()?, open.send_to(b"?", there)?);
    until("the error came by ICMP", || Ok(errors()? > before))?;
    let heard = receive(&open);
    observe("sendto returned", sent);
    observe("ICMP errors that arrived", errors()? - before);
    observe("recv", format!("{heard:?}"));
    prove("the kernel was told, the socket was not", heard == Err(EAGAIN))?;

    step("Another one is connected to that port, and sends.");
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let before = socket.local_addr()?;
    socket.connect(there)?;
    let after = socket.local_addr()?;
    let sent = socket.send(b"?")?;
    wait_for_error(&socket)?;
    let heard = [receive(&socket), receive(&socket)];
    observe("its address before, after", format!("{before}, {after}"));
    observe("send returned", sent);
    observe("recv, recv again", format!("{heard:?}"));
    let fixed = before.ip().is_unspecified() && after.ip() == there.ip();
    prove("connect succeeds, and fixes its own address", fixed)?;
    let once = [Err(ECONNREFUSED), Err(EAGAIN)];
    prove("send succeeds, a later call gets its error", sent == 1 && heard == once)?;

    step("A stranger sends to a client before and after it connects to its server.");
    let client = UdpSocket::bind("127.0.0.1:0")?;
    let server = UdpSocket::bind("127.0.0.1:0")?;
    let stranger = UdpSocket::bind("127.0.0.1:0")?;
    let (address, peer) = (client.local_addr()?, server.local_addr()?);
    stranger.connect(address)?;
    until_arrived(address, || stranger.send(b"early"))?;
    client.connect(peer)?;
    stranger.send(b"late")?;
    wait_for_error(&stranger)?;
    until_arrived(address, || server.send_to(b"answer", address))?;
    let refused = receive(&stranger);
    let heard = [(); 3].map(|()| receive(&client));
    observe("the stranger", format!("{refused:?}"));
    observe("the client", format!("{heard:?}"));
    prove("to a stranger it is not there", refused == Err(ECONNREFUSED))?;
    let both = [Ok("early".into()), Ok("answer".into()), Err(EAGAIN)];
    prove("but what came before connect stays", heard == both)?;

    step("send(2) without a peer. sendto(2) with one, but to the stranger.");
    let without = send(server.as_raw_fd(), b"?", MsgFlags::empty());
    let to = stranger.local_addr()?;
    until_arrived(to, || client.send_to(b"hello", to))?;
    let got = receive(&stranger);
    observe("send without a peer", format!("{without:?}"));
    observe("the stranger", format!("{got:?}"));
    prove("send needs a peer", without == Err(EDESTADDRREQ))?;
    prove("sendto need not go to it", got == Ok("hello".into()))?;
    let same = client.peer_addr()? == peer && open.peer_addr().is_err();
    prove("sendto notes nobody: who had no peer still has none", same)?;

    step("The price of a call. Nobody reads: the queue is full, all are dropped.");
    let mut least = [Duration::MAX; 2];
    for _ in 0..10 {
        least[0] = least[0].min(per_call(|| client.send(b"?"))?);
        least[1] = least[1].min(per_call(|| open.send_to(b"?", peer))?);
    }
    observe("send, with a peer", format!("{} ns", least[0].as_nanos()));
    observe("sendto, without", format!("{} ns", least[1].as_nanos()));

    step("connect(2) with an address of the family AF_UNSPEC.");
    let (sa_family, sa_data) = (libc::AF_UNSPEC as libc::sa_family_t, [0; 14]);
    let none = libc::sockaddr { sa_family, sa_data };
    let size = size_of_val(&none) as u32;
    // SAFETY: `none` is an address of that size.
    let result = unsafe { libc::connect(client.as_raw_fd(), &none, size) };
    let name = getpeername::<SockaddrIn>(client.as_raw_fd());
    observe("connect, getpeername", format!("{result}, {name:?}"));
    observe("its address after it", client.local_addr()?);
    client.send_to(b"?", peer)?;
    let address = client.local_addr()?;
    observe("its address after a sendto", address);
    until_arrived(address, || server.send_to(b"answer", address))?;
    until_arrived(address, || stranger.send_to(b"late", address))?;
    let heard = [receive(&client), receive(&client)];
    observe("the client", format!("{heard:?}"));
    prove("it has no peer any more", name == Err(ENOTCONN))?;
    let all = [Ok("answer".into()), Ok("late".into())];
    prove("so everybody is heard", heard == all)
}

/// recv(2) that does not wait.
fn receive(socket: &UdpSocket) -> nix::Result<String> {
    let mut buffer = [0; 16];
    let size = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
    Ok(String::from_utf8_lossy(&buffer[..size]).into_owned())
}

/// poll(2) says POLLERR, asked or not.
fn wait_for_error(socket: &UdpSocket) -> anyhow::Result<()> {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    until("an error", || Ok(poll(&mut fds, PollTimeout::ZERO)? == 1))
}

/// The mean of 200 calls.
fn per_call(call: impl Fn() -> Result<usize>) -> Result<Duration> {
    let start = Instant::now();
    (0..200).try_for_each(|_| call().map(drop))?;
    Ok(start.elapsed() / 200)
}
