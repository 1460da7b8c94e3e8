//! Who hears a broadcast?
//!
//! The last address of a network stands for all hosts on it. On each of them every
//! socket with the port gets a copy, unless it is bound to another address. Hosts of
//! other networks get none. Whoever wants to send one has to ask for it first.
//! Predict: four sockets have the port. Who hears 127.255.255.255? And 127.0.0.255?
//! Neighbours: 31_reuseaddr, 32_udp, 35_multicast.

use lessons::net::udp_that_share;
use lessons::{observe, prove, step, until};
use nix::errno::Errno::{EACCES, ENETUNREACH};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::socket::{MsgFlags, SockaddrIn, connect, sendto};
use socket2::{Domain, SockRef, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ONE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ENDS_IN_255: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 255);
const ALL: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

fn main() -> anyhow::Result<()> {
    lessons::open("Who hears a broadcast?");
    let sender = UdpSocket::bind((ONE, 0))?;
    let first = UdpSocket::bind((ANY, 0))?;
    let port = first.local_addr()?.port();
    let send = |to: Ipv4Addr| {
        let to = SockaddrIn::from(SocketAddrV4::new(to, port));
        sendto(sender.as_raw_fd(), b"hello", &to, MsgFlags::empty())
    };

    step("lo is the network 127.0.0.0/8. A datagram to the last of its addresses.");
    let refused = send(ALL);
    observe("fib_trie: 127.255.255.255", kind_of(ALL)?);
    observe("sendto", format!("{refused:?}"));
    prove("a broadcast, on this link", kind_of(ALL)? == "/32 link BROADCAST")?;
    prove("nobody sends one by mistake", refused == Err(EACCES))?;

    step("And two others? connect(2) on UDP asks for the route, and sends nothing.");
    // Networks for documentation (RFC 5737). Not all of them are in use here.
    let nets = [[198, 51, 100, 255], [203, 0, 113, 255], [192, 0, 2, 255]];
    let unused = |to: &Ipv4Addr| kind_of(*to).is_ok_and(|kind| !kind.contains('/'));
    let elsewhere = nets.map(Ipv4Addr::from).into_iter().find(unused);
    let elsewhere = elsewhere.expect("a network that is not in use");
    observe("fib_trie: 127.0.0.255", kind_of(ENDS_IN_255)?);
    observe(&format!("fib_trie: {elsewhere}"), kind_of(elsewhere)?);
    let all = [ALL, ENDS_IN_255, elsewhere];
    let refused = all.map(|to| connect_udp(to) == Err(EACCES));
    observe("EACCES: 127.255.255.255, these", format!("{refused:?}"));
    prove("the mask decides, not the 255", refused[..2] == [true, false])?;
    prove("another network's broadcast is none here", !refused[2])?;

    step("SO_BROADCAST permits it. Four sockets have the port. Who gets a copy?");
    // So far the port was this socket's alone. SO_REUSEADDR on each lets others in.
    SockRef::from(&first).set_reuse_address(true)?;
    first.set_nonblocking(true)?;
    let mut ears = vec![first];
    ears.extend(udp_that_share(&[ANY, ALL, ONE], port)?);
    observe("they are bound to", list(&[ANY, ANY, ALL, ONE]));
    sender.set_broadcast(true)?;
    send(ALL)?;
    let heard = who_heard(&ears, 3)?;
    observe("a copy is at", list(&heard));
    prove("each gets one, but not at a host's address", heard == [ANY, ANY, ALL])?;
    let silent = ears.iter().all(|ear| ear.broadcast().is_ok_and(|set| !set));
    prove("to hear it, SO_BROADCAST is not needed", silent)?;

    step("Without SO_BROADCAST: to 127.0.0.1, and to 127.0.0.255.");
    sender.set_broadcast(false)?;
    send(ONE)?;
    let one = who_heard(&ears, 1)?;
    send(ENDS_IN_255)?;
    let other = who_heard(&ears, 1)?;
    observe("127.0.0.1: a copy is at", list(&one));
    observe("127.0.0.255: a copy is at", list(&other));
    prove("for one host: one socket gets it", (one.len(), other.len()) == (1, 1))?;

    step("255.255.255.255 means all hosts, and belongs to no network.");
    // It takes the interface of the address that the sender is bound to: lo.
    let refused = send(Ipv4Addr::BROADCAST);
    sender.set_broadcast(true)?;
    send(Ipv4Addr::BROADCAST)?;
    let heard = who_heard(&ears, 2)?;
    observe("without SO_BROADCAST", format!("{refused:?}"));
    observe("with it, a copy is at", list(&heard));
    prove("a broadcast wherever you are", refused == Err(EACCES))?;
    prove("not heard at 127.255.255.255", heard == [ANY, ANY])?;

    step("And a TCP connection with 127.255.255.255?");
    let stream = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    stream.set_broadcast(true)?; // It has no effect (socket(7)).
    let to = SockaddrIn::from(SocketAddrV4::new(ALL, port));
    let refused = connect(stream.as_raw_fd(), &to);
    observe("connect", format!("{refused:?}"));
    prove("a connection has two ends, not many", refused == Err(ENETUNREACH))
}

/// What the kernel's table of routes says of just this address.
fn kind_of(address: Ipv4Addr) -> anyhow::Result<String> {
    let table = std::fs::read_to_string("/proc/net/fib_trie")?;
    let found = table.split(&format!("|-- {address}\n")).nth(1);
    let kind = found.and_then(|rest| rest.lines().next());
    Ok(kind.unwrap_or("not mentioned").trim().to_owned())
}

/// connect(2) of a UDP socket that has no address yet.
fn connect_udp(to: Ipv4Addr) -> nix::Result<()> {
    let kind = SockType::Datagram;
    let socket = socket(AddressFamily::Inet, kind, SockFlag::empty(), None)?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(to, 9)))
}

/// What those are bound to who got the datagram, once so many have it. They take it.
fn who_heard(ears: &[UdpSocket], many: usize) -> anyhow::Result<Vec<IpAddr>> {
    let has_it = |ear: &&UdpSocket| ear.peek(&mut [0]).is_ok();
    until("they have it", || Ok(ears.iter().filter(has_it).count() >= many))?;
    let mut heard = Vec::new();
    for ear in ears {
        if ear.recv(&mut [0]).is_ok() {
            heard.push(ear.local_addr()?.ip());
        }
    }
    Ok(heard)
}

fn list<T: ToString>(addresses: &[T]) -> String {
    addresses.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
