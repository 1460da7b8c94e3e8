//! One TCP connection, asked for by its addresses (sock_diag(7)).
//!
//! `/proc/net/tcp` tells the same, after the kernel has gone through the connections of the whole
//! machine; a case asks dozens of times.

use anyhow::{Result, bail};
use lessons::net::{self, State, Tcp};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The end of a connection that has these addresses; none if the kernel knows of none.
pub(super) fn connection(
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<Option<Tcp>> {
    match ask(local, remote) {
        // Where there is no such connection it tells of the socket that listens there.
        Ok(found) => Ok(found.filter(|tcp| tcp.remote == remote)),
        // Not every kernel can be asked like this.
        Err(_) => net::connection(local, remote),
    }
}

/// The socket that listens at this very address; none if the kernel knows of none.
pub(super) fn listener(local: SocketAddr) -> Result<Option<Tcp>> {
    let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let listens = |tcp: &Tcp| tcp.state == State::Listen && tcp.local == local;
    match ask(local, nobody) {
        Ok(found) => Ok(found.filter(listens)),
        Err(_) => Ok(net::tcp()?.into_iter().find(listens)),
    }
}

/// What an end of a connection has counted.
pub(super) struct Counted {
    /// The bytes that have come, read or not, in their order; the FIN counts as one.
    pub(super) received: u64,
    /// The bytes that were sent, each counted once.
    pub(super) sent: u64,
}

/// What the end of a connection that has these addresses has counted (linux/tcp.h: tcp_info). None
/// if the kernel, before Linux 4.19, cannot tell.
pub(super) fn counted(local: SocketAddr, remote: SocketAddr) -> Option<Counted> {
    let answer = request(local, remote, 1 << (INET_DIAG_INFO - 1)).ok()??;
    // The attributes (netlink(7)): length, type, value, each at a multiple of four.
    let mut attributes = answer.get(16 + 72..)?;
    loop {
        let half = |at: usize| {
            Some(u16::from_ne_bytes(attributes.get(at..at + 2)?.try_into().ok()?))
        };
        let (length, kind) = (usize::from(half(0)?), half(2)?);
        let value = attributes.get(4..length)?;
        if kind == INET_DIAG_INFO {
            let number = |at: usize| {
                Some(u64::from_ne_bytes(value.get(at..at + 8)?.try_into().ok()?))
            };
            // tcpi_bytes_received; tcpi_bytes_sent, and tcpi_bytes_retrans of them again.
            return Some(Counted {
                received: number(128)?,
                sent: number(200)? - number(208)?,
            });
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// linux/inet_diag.h: a tcp_info goes with the answer.
const INET_DIAG_INFO: u16 = 2;

/// Asks for one socket, and reads what its inet_diag_msg says.
fn ask(local: SocketAddr, remote: SocketAddr) -> Result<Option<Tcp>> {
    let Some(answer) = request(local, remote, 0)? else { return Ok(None) };
    let number = |at: usize| {
        let bytes = [answer[at], answer[at + 1], answer[at + 2], answer[at + 3]];
        u32::from_ne_bytes(bytes)
    };
    let port = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let ip = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&answer[at..at + 16]);
        match answer[16] == libc::AF_INET as u8 {
            true => Ipv4Addr::from([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
            // A socket of IPv6 that talks to one of IPv4 has addresses like ::ffff:127.0.0.1.
            false => Ipv6Addr::from(bytes).to_canonical(),
        }
    };
    Ok(Some(Tcp {
        local: SocketAddr::new(ip(24), port(20)),
        remote: SocketAddr::new(ip(40), port(22)),
        state: State::from_number(answer[17].into())?,
        // Timer 4 asks again whether there is room.
        window_closed: answer[18] == 4,
        unread: number(72) as usize,
        unacknowledged: number(76) as usize,
        inode: number(84).into(),
    }))
}

/// Sends one request (linux/inet_diag.h: inet_diag_req_v2) and returns the answer: a header of
/// netlink, an inet_diag_msg and the attributes that were asked for. None if there is no such socket.
fn request(
    local: SocketAddr,
    remote: SocketAddr,
    attributes: u8,
) -> Result<Option<Vec<u8>>> {
    const NETLINK_SOCK_DIAG: i32 = 4;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let mut kernel = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::DGRAM,
        Some(Protocol::from(NETLINK_SOCK_DIAG)),
    )?;
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let mut request = Vec::new();
    // The header (netlink(7)): length, type, flags, number, port.
    request.extend(72_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    request.extend([0; 8]);
    request.extend([family, libc::IPPROTO_TCP as u8, attributes, 0]);
    // In whichever state.
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    request.extend(sixteen(local.ip()));
    request.extend(sixteen(remote.ip()));
    // On any interface, and whatever its number (INET_DIAG_NOCOOKIE).
    request.extend(0_u32.to_ne_bytes());
    request.extend([0xff; 8]);
    kernel.send(&request)?;

    let mut answer = vec![0; 2048];
    let n = kernel.read(&mut answer)?;
    answer.truncate(n);
    // An error is the type NLMSG_ERROR and a negative errno behind the header.
    let kind = answer.get(4..6);
    let nobody = (-libc::ENOENT).to_ne_bytes();
    if kind == Some(&(libc::NLMSG_ERROR as u16).to_ne_bytes())
        && answer.get(16..20) == Some(&nobody)
    {
        return Ok(None);
    }
    if n < 16 + 72 || kind != Some(&SOCK_DIAG_BY_FAMILY.to_ne_bytes()) {
        bail!("the kernel does not answer");
    }
    Ok(Some(answer))
}

fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&ip.octets());
            all
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn it_says_what_the_table_says() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(server).unwrap();
        let here = client.local_addr().unwrap();
        client.write_all(b"hello").unwrap();
        let of = |local, remote| connection(local, remote).unwrap().unwrap();
        lessons::until("it has arrived and is acknowledged", || {
            let unread = of(server, here).unread;
            Ok(unread == 5 && of(here, server).unacknowledged == 0)
        })
        .unwrap();
        for (local, remote) in [(here, server), (server, here)] {
            // Not every kernel can be asked like this.
            let Ok(asked) = ask(local, remote) else { continue };
            assert_eq!(asked, net::connection(local, remote).unwrap());
        }
        if let Some((sent, came)) = counted(here, server).zip(counted(server, here))
        {
            assert_eq!((sent.sent, came.received), (5, 5));
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let closes = || Ok(of(server, here).state == State::CloseWait);
        lessons::until("it is closed", closes).unwrap();
        let other = SocketAddr::from(([127, 0, 0, 2], 1));
        assert_eq!(connection(server, other).unwrap(), None);
        let same = |tcp: &Tcp| (tcp.state, tcp.inode, tcp.unread);
        let asked = same(&super::listener(server).unwrap().unwrap());
        assert!(net::tcp().unwrap().iter().any(|tcp| same(tcp) == asked));
        assert_eq!(super::listener(here).unwrap(), None);
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(connection(here, nobody).unwrap(), None);
    }
}
