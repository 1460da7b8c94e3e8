//! The network of a case: it is a real peer of the program, one that may misbehave.
//!
//! All sockets of the case are served while it waits: they send what was given to them as the
//! program takes it, and read what comes, unless the case holds them back. *Blocked* means of a
//! program with sockets that nothing is on its way any more, either ([`Net::is_quiet`]).

use super::datagrams::Datagrams;
use super::{Outcome, Scene, Settled, Stop, diag, unavailable};
use crate::cage::limits;
use anyhow::{Context, Result};
use lessons::net::{self, State, Tcp};
use lessons::proc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// One connection between the case and the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(usize);

/// A listening socket of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(usize);

/// How the program's side of a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It sends no more: FIN.
    Fin,
    /// The connection was broken off: RST.
    Reset,
}

/// The case's sockets.
#[derive(Default)]
pub(super) struct Net {
    peers: Vec<Connection>,
    listeners: Vec<TcpListener>,
    pub(super) datagrams: Datagrams,
}

struct Connection {
    /// Which listening socket it came to, if the program connected.
    port: Option<Port>,
    /// None once the case has closed it.
    stream: Option<TcpStream>,
    local: SocketAddr,
    remote: SocketAddr,
    unsent: Vec<u8>,
    shut_when_sent: bool,
    heard: Vec<u8>,
    end: Option<End>,
    /// Nothing is to be read.
    held: bool,
}

impl Scene {
    /// Where the program listens, as the first line that it prints says: `listening on ADDRESS`.
    /// None if it does not print that, or no socket of its listens there.
    pub fn listening(&mut self) -> Result<Option<SocketAddr>, Stop> {
        self.wait_with_patience(|scene| scene.count_lines() > 0)?;
        let lines = self.lines();
        let address =
            lines.first().and_then(|line| line.strip_prefix("listening on "));
        let Some(address) = address.and_then(|text| text.trim().parse().ok()) else {
            return Ok(None);
        };
        let holders = self.holders_of_listener(address);
        let own = holders.into_iter().any(|(pid, _)| pid == self.program());
        Ok(own.then_some(address))
    }

    /// Connects to the program. The kernel does that alone; it does not mean that the program
    /// has accepted.
    pub fn connect(&mut self, server: SocketAddr) -> Result<Peer, Stop> {
        self.connect_with_buffers(server, None)
    }

    /// The same with a receive and a send buffer of about so many bytes (SO_RCVBUF and SO_SNDBUF
    /// of socket(7)), and with segments as in [`Scene::listen_with_buffers`]: the program meets
    /// their end sooner.
    pub fn connect_with_buffers(
        &mut self,
        server: SocketAddr,
        bytes: Option<usize>,
    ) -> Result<Peer, Stop> {
        let connect = || -> Result<TcpStream> {
            let socket =
                Socket::new(Domain::for_address(server), Type::STREAM, None)?;
            if let Some(bytes) = bytes {
                socket.set_recv_buffer_size(bytes)?;
                socket.set_send_buffer_size(bytes)?;
                socket.set_tcp_mss(1460)?;
            }
            // A full queue of connections must not hold the case for ever.
            socket.connect_timeout(&server.into(), Duration::from_secs(1))?;
            Ok(socket.into())
        };
        let stream = connect().map_err(unavailable)?;
        self.net.adopt(stream, None).map_err(unavailable)
    }

    /// A port, chosen by the kernel, at which the case accepts all connections.
    pub fn listen(&mut self) -> Result<(Port, SocketAddr), Stop> {
        self.listen_with_buffers(None)
    }

    /// The same with a receive and a send buffer of about so many bytes for each connection, and
    /// with segments as on an Ethernet: the program's own send buffer begins with room for some
    /// twenty segments, which are large on the loopback interface (TCP_MAXSEG of tcp(7)).
    pub fn listen_with_buffers(
        &mut self,
        bytes: Option<usize>,
    ) -> Result<(Port, SocketAddr), Stop> {
        let listen = || -> Result<(TcpListener, SocketAddr)> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            if let Some(bytes) = bytes {
                // The sockets that accept returns have the same.
                let socket = SockRef::from(&listener);
                socket.set_recv_buffer_size(bytes)?;
                socket.set_send_buffer_size(bytes)?;
                socket.set_tcp_mss(1460)?;
            }
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(unavailable)?;
        self.net.listeners.push(listener);
        Ok((Port(self.net.listeners.len() - 1), address))
    }

    /// The connections that have come to this port, in their order.
    pub fn arrivals(&self, port: Port) -> Vec<Peer> {
        let came = |(_, peer): &(usize, &Connection)| peer.port == Some(port);
        let peers = self.net.peers.iter().enumerate();
        peers.filter(came).map(|(index, _)| Peer(index)).collect()
    }

    /// Waits for the first connection to this port; none if the program rests, or has ended,
    /// without one.
    pub fn wait_for_arrival(&mut self, port: Port) -> Result<Option<Peer>, Stop> {
        self.wait(|scene| !scene.arrivals(port).is_empty())?;
        Ok(self.arrivals(port).first().copied())
    }

    /// Sends this to the program. What the connection does not take is sent while waiting.
    pub fn say(&mut self, peer: Peer, bytes: impl AsRef<[u8]>) {
        let peer = self.net.peer_mut(peer);
        peer.unsent.extend_from_slice(bytes.as_ref());
        peer.send_more();
    }

    /// Sends no more, after all that was given to [`Scene::say`]: FIN.
    pub fn shut(&mut self, peer: Peer) {
        let peer = self.net.peer_mut(peer);
        peer.shut_when_sent = true;
        peer.send_more();
    }

    /// Closes the connection at once; what was not sent is not sent any more. If the program
    /// has sent something that was not read, that is a reset.
    pub fn hang_up(&mut self, peer: Peer) {
        self.net.peer_mut(peer).stream = None;
    }

    /// Breaks the connection off: RST (SO_LINGER with zero seconds, socket(7)).
    pub fn break_off(&mut self, peer: Peer) {
        if let Some(stream) = self.net.peer_mut(peer).stream.take() {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Reads nothing from this connection, until it is let go: the program's data fills the
    /// buffers.
    pub fn hold(&mut self, peer: Peer, held: bool) {
        self.net.peer_mut(peer).held = held;
    }

    /// All that the program has sent over this connection and the case has read.
    pub fn heard(&self, peer: Peer) -> &[u8] {
        &self.net.peer(peer).heard
    }

    /// The same as text.
    pub fn heard_text(&self, peer: Peer) -> String {
        String::from_utf8_lossy(self.heard(peer)).into_owned()
    }

    /// How many bytes that the program has sent over this connection the case has not read yet:
    /// they are in the kernel, on either side. To be asked while the program rests.
    pub fn unheard(&self, peer: Peer) -> usize {
        let peer = self.net.peer(peer);
        let at = |local, remote| diag::connection(local, remote).ok().flatten();
        let arrived = at(peer.local, peer.remote).map_or(0, |end| end.unread);
        let sent = at(peer.remote, peer.local).map_or(0, |end| end.unacknowledged);
        arrived + sent
    }

    /// How the program's side has ended, if it has and all before it was read.
    pub fn end_of(&self, peer: Peer) -> Option<End> {
        self.net.peer(peer).end
    }

    /// How many bytes of what was said the program has not read yet, sent or not.
    pub fn untaken(&self, peer: Peer) -> usize {
        let peer = self.net.peer(peer);
        let at = |local, remote| diag::connection(local, remote).ok().flatten();
        let arrived = || at(peer.remote, peer.local).map_or(0, |end| end.unread);
        let sent = at(peer.local, peer.remote).map_or(0, |end| end.unacknowledged);
        let (before, unsent) = (arrived(), peer.stream.as_ref().map(unsent));
        let left = match unsent {
            // An acknowledgement may come 40 ms after the data was read. So see to it that
            // all has arrived that has left this side, and look again.
            Some(unsent) if sent > before && deliver_everything().is_ok() => {
                unsent + arrived()
            }
            _ => sent.max(before),
        };
        peer.unsent.len() + left
    }

    /// The state of the program's end of this connection.
    pub fn state_of(&self, peer: Peer) -> State {
        let peer = self.net.peer(peer);
        let theirs = diag::connection(peer.remote, peer.local).ok().flatten();
        theirs.map_or(State::Closed, |tcp| tcp.state)
    }

    /// How many connections wait in the queue of this listening socket of the program.
    pub fn not_accepted(&self, server: SocketAddr) -> usize {
        diag::listener(server).ok().flatten().map_or(0, |tcp| tcp.unread)
    }

    /// For how many such connections there is room (listen(2)); none if the kernel does not tell.
    pub fn room_for_arrivals(&self, server: SocketAddr) -> Option<usize> {
        // Of a socket that listens linux/inet_diag.h tells the limit in the place of what was sent.
        let limit = diag::listener(server).ok()??.unacknowledged;
        (limit > 0).then_some(limit)
    }

    /// The descriptors of a process that are TCP sockets; one that is not bound and not
    /// connected is in no table of the kernel.
    pub fn tcp_sockets(&self, pid: i32) -> Vec<(i32, Tcp)> {
        let sockets = net::tcp().unwrap_or_default();
        self.sockets_among(pid, sockets, |tcp| tcp.inode)
    }

    /// The descriptors of a process that are among these sockets.
    pub(super) fn sockets_among<T: Copy>(
        &self,
        pid: i32,
        sockets: Vec<T>,
        inode: impl Fn(&T) -> u64,
    ) -> Vec<(i32, T)> {
        let mut own = Vec::new();
        for descriptor in self.descriptors(pid) {
            let is_it = |socket: &&T| {
                descriptor.target == format!("socket:[{}]", inode(socket))
            };
            let socket = sockets.iter().find(is_it);
            own.extend(socket.map(|socket| (descriptor.number, *socket)));
        }
        own
    }

    /// Who has the program's end of this connection open, the program or another process, by
    /// which descriptor.
    pub fn holders_of(&self, peer: Peer) -> Vec<(i32, i32)> {
        let peer = self.net.peer(peer);
        let theirs = diag::connection(peer.remote, peer.local).ok().flatten();
        theirs.map_or(Vec::new(), |tcp| self.holders(tcp.inode))
    }

    /// The same of the socket that listens there.
    pub fn holders_of_listener(&self, server: SocketAddr) -> Vec<(i32, i32)> {
        let socket = diag::listener(server).ok().flatten();
        socket.map_or(Vec::new(), |tcp| self.holders(tcp.inode))
    }

    fn holders(&self, inode: u64) -> Vec<(i32, i32)> {
        // One without a descriptor has no inode, or is not there any more.
        let target = format!("socket:[{inode}]");
        let mut all = Vec::new();
        for pid in self.everybody() {
            let open = proc::descriptors(pid, pid).unwrap_or_default();
            let own = open.into_iter().filter(|(_, other)| *other == target);
            all.extend(own.map(|(fd, _)| (pid, fd)));
        }
        all
    }

    /// The descriptors of a process that are its end of this connection.
    pub fn descriptors_of(&self, pid: i32, peer: Peer) -> Vec<i32> {
        let holders = self.holders_of(peer).into_iter();
        holders.filter(|&(holder, _)| holder == pid).map(|(_, fd)| fd).collect()
    }

    /// Waits until the program has read all that was said, or will not.
    pub fn wait_until_taken(&mut self, peer: Peer) -> Result<Settled, Stop> {
        self.wait(|scene| scene.untaken(peer) == 0)
    }

    /// Waits until so many bytes have been heard, or the connection has ended.
    pub fn wait_to_hear(
        &mut self,
        peer: Peer,
        bytes: usize,
    ) -> Result<Settled, Stop> {
        self.wait(|scene| {
            scene.heard(peer).len() >= bytes || scene.end_of(peer).is_some()
        })
    }

    /// No program has so much to say.
    pub(super) fn enforce_limit_of_talk(&self) -> Outcome {
        const MOST: usize = 8 * limits::OUTPUT;
        if self.net.datagrams.overflow(MOST) {
            let seen = format!("more than {MOST} bytes in datagrams");
            return Err(self.too_much("output", seen, "It sends without end."));
        }
        if self.net.peers.iter().all(|peer| peer.heard.len() <= MOST) {
            return Ok(());
        }
        let seen = format!("more than {MOST} bytes over one connection");
        Err(self.too_much("output", seen, "It sends without end."))
    }
}

impl Net {
    fn peer(&self, peer: Peer) -> &Connection {
        &self.peers[peer.0]
    }

    fn peer_mut(&mut self, peer: Peer) -> &mut Connection {
        &mut self.peers[peer.0]
    }

    fn adopt(&mut self, stream: TcpStream, port: Option<Port>) -> Result<Peer> {
        stream.set_nonblocking(true)?;
        // What is said goes out at once, in the pieces in which it was said.
        stream.set_nodelay(true)?;
        self.peers.push(Connection {
            port,
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            stream: Some(stream),
            unsent: Vec::new(),
            shut_when_sent: false,
            heard: Vec::new(),
            end: None,
            held: false,
        });
        Ok(Peer(self.peers.len() - 1))
    }

    /// Moves what can be moved. True if anything did.
    pub(super) fn pump(&mut self) -> bool {
        let mut busy = self.datagrams.pump();
        for index in 0..self.listeners.len() {
            while let Ok((stream, _)) = self.listeners[index].accept() {
                // One that is broken already has nothing to say.
                busy |= self.adopt(stream, Some(Port(index))).is_ok();
            }
        }
        for peer in &mut self.peers {
            busy |= peer.send_more();
            busy |= peer.hear();
        }
        busy
    }

    /// The sockets at which something may come.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listens = |peer: &&Connection| !peer.held && peer.end.is_none();
        let peers = self.peers.iter().filter(listens);
        let streams = peers.filter_map(|peer| peer.stream.as_ref()).map(AsFd::as_fd);
        let listeners = self.listeners.iter().map(AsFd::as_fd);
        streams.chain(listeners).chain(self.datagrams.watched())
    }

    /// How many bytes wait on this side, to be sent or to be read. Where that changes the program
    /// reads or sends, though the case may not have heard of it.
    pub(super) fn waiting(&self) -> Vec<usize> {
        let waiting = |peer: &Connection| {
            let of =
                |stream| unacknowledged(stream) + queued(stream, libc::FIONREAD);
            peer.unsent.len() + peer.stream.as_ref().map_or(0, of)
        };
        self.peers.iter().map(waiting).collect()
    }

    /// Whether nothing is on its way: all that was sent has arrived, or waits for a peer that
    /// does not read. To be asked while the program sleeps.
    pub(super) fn is_quiet(&self) -> bool {
        let no_stream = self.peers.is_empty() && self.listeners.is_empty();
        if no_stream && self.datagrams.is_empty() {
            return true;
        }
        self.peers.iter().for_each(Connection::acknowledge);
        // If the network cannot be asked, nothing can be said of it.
        deliver_everything().is_ok()
            && (no_stream || self.nothing_is_held_back().unwrap_or(false))
    }

    /// A sender holds data back until what it has sent is acknowledged (Nagle's algorithm,
    /// RFC 9293, 3.7.4), or because the other side has no room.
    ///
    /// The latter is for good as long as there is something that the other side has not read. If
    /// there is not, the room is only less than the next segment wants, and the sender's timer
    /// makes it send a part (RFC 9293, 3.8.6.2.1).
    fn nothing_is_held_back(&self) -> Result<bool> {
        let rests = |sender: Tcp, receiver: Option<Tcp>| {
            sender.unacknowledged == 0
                || sender.window_closed && receiver.is_none_or(|tcp| tcp.unread > 0)
        };
        for peer in &self.peers {
            let theirs = diag::connection(peer.remote, peer.local)?;
            // What has left this side has been delivered, or dropped for want of room. What the
            // case has still to send waits until that is acknowledged.
            let sent = peer.unsent.is_empty()
                && peer.stream.as_ref().is_none_or(|stream| unsent(stream) == 0);
            if sent && theirs.is_none_or(|theirs| theirs.unacknowledged == 0) {
                if theirs.is_some_and(|theirs| theirs.unread == 0)
                    && peer.was_dropped()
                {
                    return Ok(false);
                }
                continue;
            }
            let ours = diag::connection(peer.local, peer.remote)?;
            if !sent && ours.is_some_and(|ours| !rests(ours, theirs))
                || theirs.is_some_and(|theirs| !rests(theirs, ours))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Connection {
    /// True if something went out.
    fn send_more(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut sent = 0;
        while sent < self.unsent.len() {
            match stream.write(&self.unsent[sent..]) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // The program has closed its side; whether it may is for the case to say.
                Err(_) => sent = self.unsent.len(),
            }
        }
        self.unsent.drain(..sent);
        let shuts = self.unsent.is_empty() && self.shut_when_sent;
        if shuts {
            let _ = stream.shutdown(Shutdown::Write);
            self.shut_when_sent = false;
        }
        sent > 0 || shuts
    }

    /// True if something came, or the end.
    fn hear(&mut self) -> bool {
        let (Some(stream), None, false) = (&mut self.stream, self.end, self.held)
        else {
            return false;
        };
        let mut buffer = [0; 16384];
        let mut heard = false;
        // Not for ever, of one that sends without end.
        for _ in 0..16 {
            match stream.read(&mut buffer) {
                Ok(0) => self.end = Some(End::Fin),
                Ok(n) => self.heard.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.end = Some(End::Reset),
            }
            heard = true;
            if self.end.is_some() {
                break;
            }
        }
        heard
    }

    /// Whether something that was sent has not come to the program's end: there was no room for it,
    /// or less than was promised. A timer sends it again (RFC 9293, 3.8.1). To be asked when
    /// everything has been delivered; that an acknowledgement is still missing says nothing.
    fn was_dropped(&self) -> bool {
        let Some(stream) = &self.stream else { return false };
        unacknowledged(stream) > 0
            && diag::counted(self.local, self.remote)
                .zip(diag::counted(self.remote, self.local))
                .is_some_and(|(ours, theirs)| theirs.received < ours.sent)
    }

    /// Acknowledges at once what has been read (TCP_QUICKACK, tcp(7)): the kernel would wait
    /// up to 40 ms for data to go with it.
    fn acknowledge(&self) {
        if let Some(stream) = &self.stream {
            let _ = SockRef::from(stream).set_tcp_quickack(true);
        }
    }
}

/// How many bytes are in the send buffer that have not been sent even once (SIOCOUTQNSD).
fn unsent(stream: &TcpStream) -> usize {
    queued(stream, 0x894B)
}

/// How many are in it that have not been acknowledged, sent or not (SIOCOUTQ, tcp(7)).
fn unacknowledged(stream: &TcpStream) -> usize {
    queued(stream, libc::TIOCOUTQ)
}

fn queued(stream: &TcpStream, request: libc::Ioctl) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: these requests (linux/sockios.h) write one int, to the valid address that is given.
    unsafe { libc::ioctl(stream.as_raw_fd(), request, &mut bytes) };
    bytes as usize
}

/// Waits until everything that was sent before over the loopback interface has been delivered.
///
/// What is sent there goes into a queue of the processor on which the sender runs, and is mostly
/// delivered before the call returns; on a busy machine it may be left to a kernel thread. The
/// queues keep their order, so a datagram of one's own that has come through is proof. A second
/// one is proof for what the first kind has caused, such as an ICMP error (RFC 792).
pub(super) fn deliver_everything() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(socket.local_addr()?)?;
    let come = || socket.send(b".").and_then(|_| socket.recv(&mut [0]));
    for processor in processors()? {
        let came = on_processor(processor, || come().and_then(|_| come()))?;
        came.context("a datagram to itself")?;
    }
    Ok(())
}

/// Acts on one processor, always the same. What is sent from there over the loopback interface goes
/// through one queue, so it arrives in that order; a program that is started from there is kept to
/// it.
pub(super) fn on_first_processor<T>(act: impl FnOnce() -> T) -> Result<T> {
    let first = processors()?.next().context("no processor")?;
    on_processor(first, act)
}

/// The processors on which this process may run.
pub(super) fn processors() -> Result<impl Iterator<Item = usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(move |&n| allowed.is_set(n).unwrap_or(false)))
}

fn on_processor<T>(processor: usize, act: impl FnOnce() -> T) -> Result<T> {
    let own = Pid::from_raw(0);
    let allowed = sched_getaffinity(own)?;
    let mut one = CpuSet::new();
    one.set(processor)?;
    sched_setaffinity(own, &one)?;
    let result = act();
    sched_setaffinity(own, &allowed)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case's side and the program's.
    fn both_sides() -> (Net, Peer, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut net = Net::default();
        let peer = net.adopt(stream, None).unwrap();
        (net, peer, listener.accept().unwrap().0)
    }

    #[test]
    fn quiet_is_when_small_pieces_have_come_through() {
        let (mut net, peer, mut program) = both_sides();
        // The second and the third wait for the first to be acknowledged.
        (0..3).for_each(|_| program.write_all(b"piece").unwrap());
        assert!(net.is_quiet());
        net.pump();
        assert_eq!(net.peer(peer).heard, b"piecepiecepiece");
        assert!(net.is_quiet() && !net.pump());
    }

    #[test]
    fn quiet_is_when_nobody_reads_what_is_there() {
        for held in [true, false] {
            let (mut net, peer, mut program) = both_sides();
            program.set_nonblocking(true).unwrap();
            net.peer_mut(peer).held = held;
            if held {
                while program.write(&[0; 65536]).is_ok() {}
            } else {
                net.peer_mut(peer).unsent = vec![0; 16 << 20];
                while net.pump() {}
                assert!(!net.peer(peer).unsent.is_empty());
            }
            assert!(lessons::until("it is quiet", || Ok(net.is_quiet())).is_ok());
        }
    }

    #[test]
    fn it_is_not_quiet_as_long_as_a_timer_sends_again_what_was_dropped() {
        const HALF: usize = 16 << 10;
        let (mut net, peer, mut program) = both_sides();
        let mut half = [0; HALF];
        net.peer_mut(peer).unsent = vec![1; HALF];
        lessons::until("it has arrived", || {
            net.pump();
            Ok(program.peek(&mut half)? == HALF)
        })
        .unwrap();
        // More room than there is now was promised.
        SockRef::from(&program).set_recv_buffer_size(1).unwrap();
        net.peer_mut(peer).unsent = vec![2; HALF];
        net.pump();
        program.read_exact(&mut half).unwrap();
        assert!(!net.is_quiet());
        program.read_exact(&mut half).unwrap();
        assert!(half == [2; HALF]);
        assert!(lessons::until("it is quiet", || Ok(net.is_quiet())).is_ok());
    }

    /// There is room, and nothing unread, but less room than the next segment wants.
    #[test]
    fn it_is_not_quiet_as_long_as_a_timer_sends_what_is_left() {
        let (mut net, peer, mut program) = both_sides();
        program.set_nonblocking(true).unwrap();
        net.peer_mut(peer).held = true;
        while program.write(&[0; 65536]).is_ok() {}
        assert!(lessons::until("it is quiet", || Ok(net.is_quiet())).is_ok());
        let stream = net.peer(peer).stream.as_ref().unwrap();
        // As small as it gets, from here on.
        SockRef::from(stream).set_recv_buffer_size(1).unwrap();
        net.peer_mut(peer).held = false;
        let Connection { local, remote, .. } = *net.peer(peer);
        let of = |local, remote| diag::connection(local, remote).unwrap().unwrap();
        let waits = || {
            net.pump();
            let theirs = of(remote, local);
            let empty = of(local, remote).unread == 0;
            Ok(theirs.window_closed && theirs.unacknowledged > 0 && empty)
        };
        lessons::until("it waits for more room", waits).unwrap();
        assert!(!net.is_quiet() || net.pump());
    }
}
