//! How does text become an address?
//!
//! People write 127.0.0.1:8080 or [::1]:8080. The kernel wants 16 or 28 bytes, some
//! of them in the network's order. IPv6 has room for all addresses of IPv4.
//! Predict: a server is bound to 0.0.0.0. Which address does it have?
//! Neighbours: 25_fd, 27_handshake, 32_udp.

use anyhow::Result;
use lessons::{observe, prove, step};
use libc::{AF_INET, AF_INET6, INADDR_NONE, c_char, c_int, c_void, in_addr_t};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

// inet(3) and inet_pton(3), of which the crate libc knows nothing.
unsafe extern "C" {
    fn inet_addr(text: *const c_char) -> in_addr_t;
    fn inet_pton(family: c_int, text: *const c_char, address: *mut c_void) -> c_int;
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn main() -> Result<()> {
    lessons::open("How does text become an address?");

    step("Servers at 127.0.0.1 and at ::1. Their addresses, as C has them.");
    for (ip, family, place) in [(V4, AF_INET, 4..8), (V6, AF_INET6, 8..24)] {
        let Ok(listener) = TcpListener::bind((ip, 0)) else { continue }; // no IPv6
        let (bytes, port) = (sockaddr(&listener)?, listener.local_addr()?.port());
        let raw = u16::from_ne_bytes([bytes[2], bytes[3]]);
        let address: String = bytes[place].iter().map(|b| format!("{b} ")).collect();
        observe(&format!("{ip} is"), format!("{} bytes", bytes.len()));
        observe("family, port", format!("{:?}, {:?}", &bytes[..2], &bytes[2..4]));
        observe("address", address.trim_end());
        observe("port without, with ntohs(3)", format!("{raw}, {port}"));
        let its = u16::from_ne_bytes([bytes[0], bytes[1]]);
        prove("the family is in this machine's order", its == family as u16)?;
        prove("the port's high byte comes first", u16::from_be(raw) == port)?;
    }

    step("Text for inet_addr(3), for inet_pton(3) and for Rust.");
    let texts = "127.0.0.1 255.255.255.255 010.0.0.1 127.1 ::1 ::ffff:127.0.0.1";
    let mut rows = Vec::new();
    for text in texts.split(' ') {
        let row = [by_inet_addr(text)?, by_inet_pton(text)?, text.parse().ok()];
        let show = |a: Option<IpAddr>| a.map_or("error".into(), |a| a.to_string());
        observe(text, row.map(show).join(", "));
        rows.push(row);
    }
    prove("inet_addr takes the last address for an error", rows[1][0].is_none())?;
    prove("010 for 8, 127.1 for an address", rows[2][0].and(rows[3][0]).is_some())?;
    prove("inet_pton and Rust agree, on both", rows.iter().all(|r| r[1] == r[2]))?;

    step("Bound to 0.0.0.0. One client comes to 127.0.0.1, one to 127.0.0.2.");
    let any = listening((Ipv4Addr::UNSPECIFIED, 0), false)?;
    let ends = [accepted(&any, V4)?, accepted(&any, "127.0.0.2".parse()?)?];
    prove("0.0.0.0 stands for any", any.local_addr()?.ip().is_unspecified())?;
    prove("who was called is known only then", ends[0].1 != ends[1].1)?;

    step("Bound to [::]. One client comes to ::1, one to 127.0.0.1.");
    if TcpListener::bind((V6, 0)).is_err() {
        observe("IPv6", "is not there");
        return Ok(());
    }
    let both = listening((Ipv6Addr::UNSPECIFIED, 0), false)?;
    let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let ends = [accepted(&both, V6)?, accepted(&both, V4)?];
    prove("[::] stands for both", ends == [(V6, V6), (mapped, mapped)])?;
    prove("IPv4 is mapped, and is IPv4", mapped.to_canonical() == V4)?;

    step("The other way round. Then two servers at one port: IPv4, IPV6_V6ONLY.");
    let ends = accepted(&any, mapped)?;
    prove("who calls a mapped address calls IPv4", ends == (V4, V4))?;
    let only = listening((Ipv6Addr::UNSPECIFIED, any.local_addr()?.port()), true)?;
    let ends = [accepted(&any, V4)?, accepted(&only, V6)?];
    prove("to each its own version", ends == [(V4, V4), (V6, V6)])
}

/// A client calls. What accept(2) knows: who calls, and which address was called.
fn accepted(server: &TcpListener, call: IpAddr) -> Result<(IpAddr, IpAddr)> {
    let _client = TcpStream::connect((call, server.local_addr()?.port()))?;
    let (socket, from) = server.accept()?;
    let (from, called) = (from.ip(), socket.local_addr()?.ip());
    observe(&format!("a client to {call}"), format!("at {called}, from {from}"));
    Ok((from, called))
}

/// The bytes that getsockname(2) writes.
fn sockaddr(socket: &TcpListener) -> nix::Result<Vec<u8>> {
    let mut bytes = vec![0; size_of::<libc::sockaddr_storage>()];
    let mut length = bytes.len() as u32;
    let (fd, to) = (socket.as_raw_fd(), bytes.as_mut_ptr().cast());
    // SAFETY: `to` is the address of `length` bytes; of more it would only say so.
    Errno::result(unsafe { libc::getsockname(fd, to, &mut length) })?;
    bytes.truncate(length as usize);
    Ok(bytes)
}

fn by_inet_addr(text: &str) -> Result<Option<IpAddr>> {
    let text = CString::new(text)?;
    // SAFETY: it reads a string that ends with a zero byte.
    let address = unsafe { inet_addr(text.as_ptr()) };
    Ok((address != INADDR_NONE).then(|| address.to_ne_bytes().into()))
}

/// inet_pton(3) has to be told which version it is.
fn by_inet_pton(text: &str) -> Result<Option<IpAddr>> {
    let six = text.contains(':');
    let (text, mut bytes) = (CString::new(text)?, [0; 16]);
    let (family, to) = (if six { AF_INET6 } else { AF_INET }, bytes.as_mut_ptr());
    // SAFETY: it reads a string, and writes 4 or 16 bytes for these families.
    let done = unsafe { inet_pton(family, text.as_ptr(), to.cast()) };
    let [a, b, c, d, ..] = bytes;
    let address = if six { bytes.into() } else { [a, b, c, d].into() };
    Ok((done == 1).then_some(address))
}

fn listening(at: impl Into<SocketAddr>, only_v6: bool) -> Result<TcpListener> {
    let address = at.into();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    socket.listen(2)?;
    Ok(socket.into())
}
