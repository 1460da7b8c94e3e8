//! The datagrams of a case: as many UDP sockets as it likes, to be a server, a stranger, a member
//! of a group.
//!
//! They are read while the case waits, and all that has come is kept, with its sender and the time.

use super::net::on_first_processor;
use super::{Scene, Stop, unavailable, waiting};
use anyhow::Result;
use lessons::net::{self, Udp};
use nix::errno::Errno;
use nix::net::if_::if_nameindex;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, SystemTime};

/// A UDP socket of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox(usize);

/// What has come to a [`Mailbox`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
    /// When the kernel took it in, however late it was read.
    pub came: SystemTime,
}

impl Datagram {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// All mailboxes of the case.
#[derive(Default)]
pub(super) struct Datagrams {
    boxes: Vec<Open>,
}

struct Open {
    /// None once the case has closed it.
    socket: Option<UdpSocket>,
    received: Vec<Datagram>,
}

impl Scene {
    /// A mailbox at a port that the kernel chooses, and its address.
    pub fn mailbox(&mut self) -> Result<(Mailbox, SocketAddr), Stop> {
        let bind = || -> Result<(UdpSocket, SocketAddr)> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = bind().map_err(unavailable)?;
        Ok((self.net.datagrams.adopt(socket).map_err(unavailable)?, address))
    }

    /// A mailbox at this address, which others may have too (SO_REUSEADDR, socket(7)). To the
    /// address of a group comes what is sent to the group; of groups that the mailbox has not
    /// joined it hears nothing.
    pub fn mailbox_at(&mut self, address: SocketAddr) -> Result<Mailbox, Stop> {
        let bind = || -> Result<UdpSocket> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_multicast_all_v4(false)?;
            socket.bind(&address.into())?;
            Ok(socket.into())
        };
        let socket = bind().map_err(unavailable)?;
        self.net.datagrams.adopt(socket).map_err(unavailable)
    }

    /// An address at which nobody is, until somebody binds a socket to it with SO_REUSEADDR.
    /// A socket that is its own peer keeps the port free of others.
    pub fn reserve_port(&mut self) -> Result<SocketAddr, Stop> {
        let (mailbox, address) = self.mailbox()?;
        let reserve = |socket: &UdpSocket| -> Result<()> {
            socket.connect(address)?;
            // Only now: the kernel could have chosen a port that another one shares.
            Ok(SockRef::from(socket).set_reuse_address(true)?)
        };
        let socket = &self.net.datagrams.boxes[mailbox.0].socket;
        socket.as_ref().map_or(Ok(()), reserve).map_err(unavailable)?;
        Ok(address)
    }

    /// Nobody is there any more.
    pub fn close_mailbox(&mut self, mailbox: Mailbox) {
        self.net.datagrams.boxes[mailbox.0].socket = None;
    }

    /// Joins a group, on the loopback interface.
    pub fn join(&mut self, mailbox: Mailbox, group: Ipv4Addr) -> Result<(), Stop> {
        let socket = &self.net.datagrams.boxes[mailbox.0].socket;
        let join = |socket: &UdpSocket| {
            socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        };
        socket.as_ref().map_or(Ok(()), join).map_err(unavailable)
    }

    /// Sends a datagram. Whatever the mailboxes, all arrive in the order in which they were
    /// posted. One to a group goes out by the loopback interface.
    pub fn post(
        &mut self,
        mailbox: Mailbox,
        bytes: impl AsRef<[u8]>,
        to: SocketAddr,
    ) -> Result<(), Stop> {
        let Some(socket) = &self.net.datagrams.boxes[mailbox.0].socket else {
            return Ok(());
        };
        let sent = on_first_processor(|| socket.send_to(bytes.as_ref(), to));
        sent.map_err(unavailable)?.map(drop).map_err(unavailable)
    }

    /// All that has come to this mailbox and that the case has read, in its order.
    pub fn received(&self, mailbox: Mailbox) -> &[Datagram] {
        &self.net.datagrams.boxes[mailbox.0].received
    }

    /// The descriptors of a process that are UDP sockets; one that is not bound and has not sent
    /// anything is in no table of the kernel.
    pub fn udp_sockets(&self, pid: i32) -> Vec<(i32, Udp)> {
        let sockets = net::udp().unwrap_or_default();
        self.sockets_among(pid, sockets, |udp| udp.inode)
    }

    /// Whether some thread of the program sleeps in a call that a datagram would end.
    pub fn listens(&self) -> bool {
        let program = self.program();
        self.threads().iter().any(|thread| waiting::listens(program, thread))
    }

    /// Whether some thread of the program naps: it sleeps for a time, and nothing that comes
    /// wakes it. One that is just awake between two naps counts, too.
    pub fn naps(&self) -> bool {
        let program = self.program();
        self.threads().iter().any(|thread| waiting::naps(program, thread))
    }

    /// Whether datagrams wait at some socket of the program.
    pub fn has_unread_datagrams(&self) -> bool {
        self.udp_sockets(self.program()).iter().any(|(_, udp)| udp.unread > 0)
    }

    /// The interfaces on which sockets have joined this group, and how many on each. Of a group that
    /// only the case and the program know these are theirs.
    pub fn members(&self, group: Ipv4Addr) -> Vec<(String, usize)> {
        let mut all = Vec::new();
        for interface in if_nameindex().iter().flat_map(|all| all.iter()) {
            let name = interface.name().to_string_lossy().into_owned();
            let count = net::members(&name, group.into()).unwrap_or(0);
            if count > 0 {
                all.push((name, count));
            }
        }
        all
    }
}

impl Datagrams {
    fn adopt(&mut self, socket: UdpSocket) -> Result<Mailbox> {
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        self.boxes.push(Open { socket: Some(socket), received: Vec::new() });
        Ok(Mailbox(self.boxes.len() - 1))
    }

    /// Reads what has come. True if anything has.
    pub(super) fn pump(&mut self) -> bool {
        let heard: Vec<bool> = self.boxes.iter_mut().map(Open::hear).collect();
        heard.contains(&true)
    }

    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.boxes.iter().filter_map(|open| open.socket.as_ref()).map(AsFd::as_fd)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// Whether some mailbox has got more than any program has to say. An empty datagram counts,
    /// too.
    pub(super) fn overflow(&self, most: usize) -> bool {
        let size = |datagram: &Datagram| 64 + datagram.bytes.len();
        let sum = |open: &Open| open.received.iter().map(size).sum::<usize>();
        self.boxes.iter().any(|open| sum(open) > most)
    }
}

impl Open {
    fn hear(&mut self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut heard = false;
        // Not for ever, of one that sends without end.
        for _ in 0..16 {
            match receive(socket) {
                Ok(datagram) => {
                    self.received.push(datagram);
                    heard = true;
                }
                Err(Errno::EAGAIN) => break,
                // An ICMP error, of the reserving socket: nobody is to hear of it.
                Err(_) => {}
            }
        }
        heard
    }
}

fn receive(socket: &UdpSocket) -> nix::Result<Datagram> {
    let mut buffer = [0; 65536];
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<SockaddrIn>(
        socket.as_raw_fd(),
        &mut buffers,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let from = message.address.ok_or(Errno::EDESTADDRREQ)?;
    // SO_TIMESTAMPNS, socket(7).
    let mut came = SystemTime::now();
    for message in message.cmsgs()? {
        if let ControlMessageOwned::ScmTimestampns(time) = message {
            came = SystemTime::UNIX_EPOCH + Duration::from(time);
        }
    }
    let from = SocketAddr::from((from.ip(), from.port()));
    let size = message.bytes;
    Ok(Datagram { from, bytes: buffer[..size].to_vec(), came })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cage::{Job, Mode};
    use std::io::ErrorKind::{ConnectionRefused, WouldBlock};

    /// A stage without a program.
    fn scene() -> Scene {
        let limit = Duration::from_secs(10);
        let job = Job {
            exercise: String::new(),
            case: String::new(),
            program: "program".into(),
            mode: Mode::Process,
            deadline: limit,
            patience: 10,
            folder: None,
        };
        Scene::new("program".into(), "actor".into(), &job)
    }

    fn heard(scene: &mut Scene, mailbox: Mailbox) -> Vec<String> {
        assert!(scene.net.is_quiet());
        while scene.net.pump() {}
        scene.received(mailbox).iter().map(Datagram::text).collect()
    }

    #[test]
    fn datagrams_of_several_mailboxes_keep_their_order() {
        let mut scene = scene();
        let (to, address) = scene.mailbox().unwrap();
        let from = [(); 3].map(|()| scene.mailbox().unwrap());
        let before = SystemTime::now();
        for n in 0..60 {
            scene.post(from[n % 3].0, n.to_string(), address).unwrap();
        }
        let all: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        assert_eq!(heard(&mut scene, to), all);
        let datagrams = scene.received(to);
        assert!((0..60).all(|n| datagrams[n].from == from[n % 3].1));
        assert!(datagrams.is_sorted_by_key(|datagram| datagram.came));
        assert!(before <= datagrams[0].came);
    }

    #[test]
    fn a_reserved_port_refuses_while_nobody_is_there() {
        let mut scene = scene();
        let address = scene.reserve_port().unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.set_nonblocking(true).unwrap();
        client.connect(address).unwrap();
        let ask = |scene: &Scene| {
            client.send(b"anybody?").unwrap();
            // Then the ICMP error has come, too.
            assert!(scene.net.is_quiet());
            client.recv(&mut [0]).unwrap_err().kind()
        };
        assert_eq!(ask(&scene), ConnectionRefused);
        let mailbox = scene.mailbox_at(address).unwrap();
        assert_eq!(ask(&scene), WouldBlock);
        assert_eq!(heard(&mut scene, mailbox), ["anybody?"]);
        scene.close_mailbox(mailbox);
        assert_eq!(ask(&scene), ConnectionRefused);
    }

    #[test]
    fn a_group_is_heard_by_who_has_joined_it() {
        let mut scene = scene();
        let port = scene.reserve_port().unwrap().port();
        let [high, low] = port.to_be_bytes();
        let group = Ipv4Addr::new(239, 253, high, low);
        let address = SocketAddr::from((group, port));
        let [member, other] = [(); 2].map(|()| scene.mailbox_at(address).unwrap());
        let (asker, _) = scene.mailbox().unwrap();
        assert_eq!(scene.members(group), []);
        scene.join(member, group).unwrap();
        assert_eq!(scene.members(group), [("lo".to_owned(), 1)]);
        scene.post(asker, "who is there?", address).unwrap();
        assert_eq!(heard(&mut scene, member), ["who is there?"]);
        assert!(heard(&mut scene, other).is_empty());
    }
}
