//! One TCP connection, asked for by its addresses (sock_diag(7)).
//!
//! `/proc/net/tcp` tells the same, after the kernel has gone through the connections of the whole
//! machine; a case asks dozens of times.

use anyhow::{Result, bail};
use lessons::net::{self, State, Tcp};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};

/// The end of a connection that has these addresses; none if the kernel knows of none.
pub(super) fn connection(
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<Option<Tcp>> {
    // Not every kernel can be asked like this.
    ask(local, remote).or_else(|_| net::connection(local, remote))
}

/// Sends one request (linux/inet_diag.h: inet_diag_req_v2) and reads the answer.
fn ask(local: SocketAddr, remote: SocketAddr) -> Result<Option<Tcp>> {
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
    request.extend([family, libc::IPPROTO_TCP as u8, 0, 0]);
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

    let mut answer = [0; 1024];
    let n = kernel.read(&mut answer)?;
    let number = |at: usize| {
        let bytes = [answer[at], answer[at + 1], answer[at + 2], answer[at + 3]];
        u32::from_ne_bytes(bytes)
    };
    // An error is the type NLMSG_ERROR and a negative errno behind the header.
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    if kind == libc::NLMSG_ERROR as u16 && number(16) == -libc::ENOENT as u32 {
        return Ok(None);
    }
    // The answer is an inet_diag_msg.
    if n < 16 + 72 || kind != SOCK_DIAG_BY_FAMILY {
        bail!("the kernel does not answer");
    }
    // Where there is no such connection it tells of the socket that listens there.
    if answer[22..24] != remote.port().to_be_bytes() {
        return Ok(None);
    }
    Ok(Some(Tcp {
        local,
        remote,
        state: State::from_number(answer[17].into())?,
        // Timer 4 asks again whether there is room.
        window_closed: answer[18] == 4,
        unread: number(72) as usize,
        unacknowledged: number(76) as usize,
        inode: number(84).into(),
    }))
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
        let arrived = || Ok(connection(server, here)?.unwrap().unread == 5);
        lessons::until("it has arrived", arrived).unwrap();
        for (local, remote) in [(here, server), (server, here)] {
            let acknowledged =
                || Ok(connection(here, server)?.unwrap().unacknowledged == 0);
            lessons::until("it is acknowledged", acknowledged).unwrap();
            let asked = connection(local, remote).unwrap();
            assert_eq!(asked, net::connection(local, remote).unwrap());
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let state = || connection(server, here).unwrap().unwrap().state;
        lessons::until("it is closed", || Ok(state() == State::CloseWait)).unwrap();
        let other = SocketAddr::from(([127, 0, 0, 2], 1));
        assert_eq!(connection(server, other).unwrap(), None);
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(connection(here, nobody).unwrap(), None);
    }
}
