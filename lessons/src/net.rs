//! What the kernel says of sockets, read from `/proc/net` (proc_pid_net(5)): of all that are in the
//! caller's network namespace, its own process's or not.
//!
//! Queues are in bytes. All errors are those of reading or understanding a file below `/proc/net`,
//! or of the call that is named. [`connected`] makes a connection to look at.

use crate::until;
use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

/// One end of a TCP connection, or a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: State,
    /// Bytes that the peer has not acknowledged yet (the columns of netstat call it Send-Q).
    pub unacknowledged: usize,
    /// Bytes that have arrived and that nobody has read (Recv-Q); for a listening socket the
    /// connections that wait for accept(2).
    pub unread: usize,
    /// There is something to send, and the peer has no room for it.
    pub window_closed: bool,
    /// The number in `socket:[…]` below `/proc/PID/fd`; 0 where no descriptor leads to it.
    pub inode: u64,
}

/// The states of a TCP connection, by their names in RFC 9293, section 3.3.2. (netstat writes
/// FIN_WAIT2 for FIN-WAIT-2; ss writes ESTAB for ESTABLISHED.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

/// A UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    pub local: SocketAddr,
    /// What it is connected to; port 0 if it is not.
    pub remote: SocketAddr,
    /// Memory that unread datagrams take up, more than their content.
    pub unread: usize,
    /// Datagrams that the kernel threw away because the receive buffer was full.
    pub drops: usize,
    pub inode: u64,
}

/// All TCP sockets, over IPv4 and IPv6.
pub fn tcp() -> Result<Vec<Tcp>> {
    let mut all = Vec::new();
    for row in rows("tcp")? {
        all.push(row.tcp()?);
    }
    Ok(all)
}

/// The first socket that is `wanted`, among those with `address` at one of their ends.
///
/// Behind the table is a hash table, and on a machine with much memory it has half a million places.
/// To ask for one row at a time and to stop early spares the kernel most of them.
fn find(
    address: SocketAddr,
    mut wanted: impl FnMut(&Tcp) -> bool,
) -> Result<Option<Tcp>> {
    const ROW: usize = 128;
    let path = if address.is_ipv6() { "/proc/net/tcp6" } else { "/proc/net/tcp" };
    let table = std::fs::File::open(path).context(path)?;
    // There may be thousands of others, which need not be understood.
    let port = format!(":{:04X} ", address.port());
    for line in BufReader::with_capacity(ROW, table).lines() {
        let line = line?;
        if !line.contains(&port) {
            continue;
        }
        let tcp = Row::from(&*line).tcp()?;
        let here = tcp.local == address || tcp.remote == address;
        if here && wanted(&tcp) {
            return Ok(Some(tcp));
        }
    }
    Ok(None)
}

/// The end of a connection that has these addresses; none if the kernel knows of none.
pub fn connection(local: SocketAddr, remote: SocketAddr) -> Result<Option<Tcp>> {
    find(local, |end| end.local == local && end.remote == remote)
}

/// The state of that end; [`State::Closed`] if the kernel knows of none.
pub fn state(local: SocketAddr, remote: SocketAddr) -> Result<State> {
    Ok(connection(local, remote)?.map_or(State::Closed, |end| end.state))
}

/// The states of both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Both(pub State, pub State);

/// The states of a connection: of the end at `client`, and of the one at `server`.
pub fn both(client: SocketAddr, server: SocketAddr) -> Result<Both> {
    let mut both = Both(State::Closed, State::Closed);
    let mut found = 0;
    find(client, |end| {
        match (end.local, end.remote) {
            ends if ends == (client, server) => both.0 = end.state,
            ends if ends == (server, client) => both.1 = end.state,
            _ => return false,
        }
        found += 1;
        found == 2
    })?;
    Ok(both)
}

impl fmt::Display for Both {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, {}", self.0, self.1)
    }
}

/// How many bytes have arrived at that end and wait to be read; 0 if the kernel knows of none.
pub fn unread(local: SocketAddr, remote: SocketAddr) -> Result<usize> {
    Ok(connection(local, remote)?.map_or(0, |end| end.unread))
}

/// The queue of the socket that listens at this address: connections that wait for accept(2).
pub fn backlog(listener: SocketAddr) -> Result<usize> {
    let listens = |s: &Tcp| s.local == listener && s.state == State::Listen;
    let socket = find(listener, listens)?;
    Ok(socket.with_context(|| format!("nobody listens at {listener}"))?.unread)
}

/// A connection over loopback: the client's end and the server's.
pub fn connected() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// Whether all that was sent from one end has arrived at the other and was read there. True also
/// of a connection that the kernel does not know any more.
pub fn all_read(from: SocketAddr, to: SocketAddr) -> Result<bool> {
    // In this order: what is acknowledged has arrived, and then the second look sees it.
    let sends = connection(from, to)?;
    let reads = connection(to, from)?;
    Ok(sends.is_none_or(|end| end.unacknowledged == 0)
        && reads.is_none_or(|end| end.unread == 0))
}

/// How many connections that came in at this address lead to a descriptor: those that accept(2) has
/// returned and nobody has closed.
pub fn accepted(listener: SocketAddr) -> Result<usize> {
    let accepted =
        |s: &&Tcp| s.local == listener && s.state != State::Listen && s.inode != 0;
    Ok(tcp()?.iter().filter(accepted).count())
}

/// The TCP sockets that a process has descriptors of, in the order of their numbers.
pub fn tcp_of(pid: i32) -> Result<Vec<Tcp>> {
    let all = tcp()?;
    let socket = |(_, target): (i32, String)| {
        let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
        let inode: u64 = inode.parse().ok()?;
        all.iter().find(|socket| socket.inode == inode).copied()
    };
    let descriptors = crate::proc::descriptors(pid, pid)?;
    Ok(descriptors.into_iter().filter_map(socket).collect())
}

/// What arrived at this socket and was thrown away, for instance because a listener's queue was
/// full. (The last word of SO_MEMINFO; sock_diag(7) names them.)
pub fn dropped(socket: impl AsFd) -> Result<u32> {
    let mut words = [0_u32; 9];
    let mut size = size_of_val(&words) as u32;
    let (fd, to) = (socket.as_fd().as_raw_fd(), words.as_mut_ptr().cast());
    // SAFETY: `to` is the address of `size` bytes, and no more are written.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, to, &mut size)
    };
    nix::errno::Errno::result(result)?;
    Ok(words[8])
}

/// All UDP sockets, over IPv4 and IPv6.
pub fn udp() -> Result<Vec<Udp>> {
    let mut all = Vec::new();
    for row in rows("udp")? {
        all.push(Udp {
            local: row.address(1)?,
            remote: row.address(2)?,
            unread: row.queues()?.1,
            inode: row.field(9)?.parse()?,
            drops: row.field(12)?.parse()?,
        });
    }
    Ok(all)
}

/// How many sockets have joined this group on this interface.
pub fn members(interface: &str, group: IpAddr) -> Result<usize> {
    match group {
        IpAddr::V4(group) => members_v4(interface, group),
        IpAddr::V6(group) => members_v6(interface, group),
    }
}

/// `/proc/net/igmp`: a line for each interface (`1 lo : 2 V3`), and below it, indented by tabs, one
/// for each group (`010000E0 1 …`, the word of 32 bits as in the other tables, and how many).
fn members_v4(interface: &str, group: Ipv4Addr) -> Result<usize> {
    let name = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    let mut current = String::new();
    for line in table("/proc/net/igmp")?.lines() {
        let mut words = line.split_whitespace();
        let (first, second) = (words.next(), words.next().unwrap_or_default());
        if !line.starts_with('\t') {
            current = second.to_owned();
        } else if current == interface && first == Some(&name) {
            return Ok(second.parse()?);
        }
    }
    Ok(0)
}

/// `/proc/net/igmp6`: a line for each interface and group, `1 lo ff02…01 1 …`.
fn members_v6(interface: &str, group: Ipv6Addr) -> Result<usize> {
    let name = format!("{:032x}", group.to_bits());
    for line in table("/proc/net/igmp6")?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, at, of, count, ..] = words[..]
            && (at, of) == (interface, &*name)
        {
            return Ok(count.parse()?);
        }
    }
    Ok(0)
}

/// The UDP socket that is bound to this address; it is an error if there is none.
///
/// A row can be missed (see [`table`]), so who is not there is looked for again.
pub fn udp_at(local: SocketAddr) -> Result<Udp> {
    let mut socket = None;
    until(&format!("a UDP socket is bound to {local}"), || {
        socket = udp()?.into_iter().find(|socket| socket.local == local);
        Ok(socket.is_some())
    })?;
    socket.context("found")
}

/// Does what sends a datagram to this UDP socket, until one more is unread there.
pub fn until_arrived<T>(
    at: SocketAddr,
    send: impl FnOnce() -> io::Result<T>,
) -> Result<()> {
    let before = udp_at(at)?.unread;
    send()?;
    until("it has arrived", || Ok(udp_at(at)?.unread > before))
}

/// UDP sockets bound to these addresses that let others have their port, too, and whose calls do
/// not wait.
pub fn udp_that_share(addresses: &[Ipv4Addr], port: u16) -> Result<Vec<UdpSocket>> {
    let mut sockets = Vec::new();
    for &address in addresses {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV4::new(address, port).into())?;
        sockets.push(socket.into());
    }
    Ok(sockets)
}

/// A counter of `/proc/net/snmp`, for instance `InDestUnreachs` of `Icmp`. It counts for the whole
/// network namespace.
pub fn counter(protocol: &str, name: &str) -> Result<u64> {
    let path = "/proc/net/snmp";
    let text = std::fs::read_to_string(path).context(path)?;
    // Two lines for each protocol: the names, then the values.
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'));
    let names = lines.next().unwrap_or_default().split_whitespace();
    let mut both = names.zip(lines.next().unwrap_or_default().split_whitespace());
    let value = both.find(|(other, _)| *other == name);
    let (_, value) =
        value.with_context(|| format!("{path} has no {protocol} {name}"))?;
    Ok(value.parse()?)
}

/// The rows of one table and of its twin for IPv6, which a kernel without IPv6 does not have.
fn rows(name: &str) -> Result<Vec<Row>> {
    let path = format!("/proc/net/{name}");
    let four = table(&path).with_context(|| path.clone())?;
    let six = table(&format!("{path}6")).unwrap_or_default();
    Ok(each_once(four.lines().skip(1).chain(six.lines().skip(1))))
}

/// The rows without those that come again: see [`table`].
fn each_once<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Row> {
    let mut seen = HashSet::new();
    // Both addresses, and the inode: several may listen at one address.
    let socket = |row: &Row| [1, 2, 9].map(|index| row.fields.get(index).cloned());
    lines.map(Row::from).filter(|row| seen.insert(socket(row))).collect()
}

/// A whole table, in as few calls of read(2) as the kernel allows: it gives a page at most.
///
/// It is no picture of one moment. The kernel writes the rows of each call anew and finds its place
/// by counting: for UDP always, for TCP at the end of the table. If somebody's socket comes between
/// two calls, a row comes again; if one goes, a row of UDP is missed.
fn table(path: &str) -> io::Result<String> {
    crate::proc::whole(path, 1 << 16)
}

struct Row {
    fields: Vec<String>,
}

impl From<&str> for Row {
    fn from(line: &str) -> Row {
        Row { fields: line.split_whitespace().map(str::to_owned).collect() }
    }
}

impl Row {
    fn tcp(&self) -> Result<Tcp> {
        let (unacknowledged, unread) = self.queues()?;
        Ok(Tcp {
            local: self.address(1)?,
            remote: self.address(2)?,
            state: State::from_number(self.hexadecimal(3)?)?,
            unacknowledged,
            unread,
            // Field 5 begins with the timer that runs: 4 asks again whether there is room.
            window_closed: self.field(5)?.starts_with("04"),
            inode: self.field(9)?.parse()?,
        })
    }

    fn field(&self, index: usize) -> Result<&str> {
        Ok(self.fields.get(index).context("a row of /proc/net is too short")?)
    }

    fn hexadecimal(&self, index: usize) -> Result<usize> {
        Ok(usize::from_str_radix(self.field(index)?, 16)?)
    }

    /// Field 4: what is to be sent and what is to be read, `00000000:00000000`.
    fn queues(&self) -> Result<(usize, usize)> {
        let (send, receive) =
            self.field(4)?.split_once(':').context("queues without a colon")?;
        let number = |text| usize::from_str_radix(text, 16);
        Ok((number(send)?, number(receive)?))
    }

    /// `0100007F:1F90`: the address as words of 32 bits, each in this machine's byte order and
    /// written as a number; the port as a number.
    fn address(&self, index: usize) -> Result<SocketAddr> {
        let text = self.field(index)?;
        let (ip, port) =
            text.split_once(':').context("an address without a colon")?;
        let mut bytes = Vec::new();
        for start in (0..ip.len()).step_by(8) {
            let word =
                ip.get(start..start + 8).context("an address of odd length")?;
            bytes.extend(u32::from_str_radix(word, 16)?.to_ne_bytes());
        }
        let ip = match (<[u8; 4]>::try_from(&*bytes), <[u8; 16]>::try_from(&*bytes))
        {
            (Ok(four), _) => IpAddr::V4(Ipv4Addr::from(four)),
            (_, Ok(six)) => IpAddr::V6(Ipv6Addr::from(six)),
            _ => anyhow::bail!("an address of {} bytes", bytes.len()),
        };
        Ok(SocketAddr::new(ip, u16::from_str_radix(port, 16)?))
    }
}

impl State {
    /// The numbers of the kernel's tcp_states.h.
    ///
    /// # Errors
    /// There is no such state.
    pub fn from_number(number: usize) -> Result<State> {
        use State::*;
        Ok(match number {
            1 => Established,
            2 => SynSent,
            // 12 (NEW_SYN_RECV) is a request that has no socket of its own yet.
            3 | 12 => SynReceived,
            4 => FinWait1,
            5 => FinWait2,
            6 => TimeWait,
            7 => Closed,
            8 => CloseWait,
            9 => LastAck,
            10 => Listen,
            11 => Closing,
            other => anyhow::bail!("TCP has no state {other}"),
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::TimeWait => "TIME-WAIT",
            State::Closed => "CLOSED",
            State::CloseWait => "CLOSE-WAIT",
            State::LastAck => "LAST-ACK",
            State::Listen => "LISTEN",
            State::Closing => "CLOSING",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn both_ends_of_a_connection_are_found() {
        let (client, server) = connected().unwrap();
        let (client, server) =
            (client.local_addr().unwrap(), server.local_addr().unwrap());
        let both = both(client, server).unwrap();
        assert_eq!(both, Both(State::Established, State::Established));
    }

    #[test]
    fn who_is_not_accepted_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(backlog(address).unwrap(), 0);
        let _client = TcpStream::connect(address).unwrap();
        crate::until("it waits", || Ok(backlog(address)? == 1)).unwrap();
        drop(listener);
        assert!(backlog(address).is_err());
    }

    #[test]
    fn what_is_accepted_and_what_waits_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect(server).unwrap();
        let clients: Vec<TcpStream> = (0..3).map(connect).collect();
        let counted = || (backlog(server).unwrap(), accepted(server).unwrap());
        assert_eq!(counted(), (3, 0));
        let (first, address) = listener.accept().unwrap();
        assert_eq!(counted(), (2, 1));
        let own = tcp_of(crate::proc::own_pid()).unwrap();
        let end = own.iter().find(|socket| socket.remote == address).unwrap();
        assert_eq!(end.local, server);
        (&clients[0]).write_all(b"hello").unwrap();
        crate::until("5 bytes wait", || Ok(unread(server, address)? == 5)).unwrap();
        drop(first);
        assert_eq!(counted(), (2, 0));
    }

    #[test]
    fn a_row_that_comes_again_is_one_socket() {
        let end = "1: 0100007F:1F90 0100007F:9C40 01 0:0 00:0 0 0 0 4711 1 0";
        let other = "2: 0100007F:1F90 0100007F:9C42 01 0:0 00:0 0 0 0 4712 1 0";
        let again = "9: 0100007F:1F90 0100007F:9C40 01 0:0 00:0 0 0 0 4711 1 0";
        let rows = each_once([end, other, again].into_iter());
        let inodes: Vec<&str> =
            rows.iter().map(|row| row.field(9).unwrap()).collect();
        assert_eq!(inodes, ["4711", "4712"]);
    }

    #[test]
    fn counters_are_found_by_name() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
        assert!(counter("Udp", "OutDatagrams").unwrap() > 0);
        assert!(counter("Udp", "InDestUnreachs").is_err());
    }

    #[test]
    fn a_datagram_waits_at_a_socket_of_ipv6_too() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(any) else { continue };
            let address = socket.local_addr().unwrap();
            socket.send_to(b"hello", address).unwrap();
            let udp = udp().unwrap().into_iter().find(|s| s.local == address);
            assert!(udp.unwrap().unread >= 5);
        }
    }

    #[test]
    fn members_of_a_group_are_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Another test would have another port.
        let [high, low] = socket.local_addr().unwrap().port().to_be_bytes();
        let group = Ipv4Addr::new(239, 254, high, low);
        let members = || members("lo", group.into()).unwrap();
        socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(members(), 1);
        drop(socket);
        assert_eq!(members(), 0);
    }
}
