//! What does a datagram keep?
//!
//! A datagram stays whole: what one sendto(2) sends, one recvfrom(2) receives, or
//! nobody. UDP promises neither that it arrives nor that its sender hears if not.
//! Predict: ten bytes arrive, the buffer has room for four. Where are the other six?
//! Neighbours: 28_stream, 33_udp_connect.

use lessons::{net, observe, prove, step, until};
use nix::errno::Errno::{EAGAIN, EMSGSIZE};
use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, recvmsg, sendto};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

const DONTWAIT: MsgFlags = MsgFlags::MSG_DONTWAIT;
const TRUNC: MsgFlags = MsgFlags::MSG_TRUNC;

fn main() -> anyhow::Result<()> {
    lessons::open("What does a datagram keep?");
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let (fd, to) = (receiver.as_raw_fd(), receiver.local_addr()?);

    step("A socket sends to 127.0.0.1. It was never bound.");
    let sender = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let before = sender.local_addr()?.as_socket_ipv4().expect("IPv4");
    net::until_arrived(to, || sender.send_to(b"hello", &to.into()))?;
    let after = sender.local_addr()?.as_socket_ipv4().expect("IPv4");
    let (_, from) = receiver.recv_from(&mut [0; 16])?;
    observe("its address before", before);
    observe("its address after", after);
    observe("the datagram came from", from);
    prove("sendto gave it a port", before.port() == 0 && after.port() != 0)?;
    prove("but no address", after.ip() == &Ipv4Addr::UNSPECIFIED)?;
    prove("the datagram has one, by its route", from.ip() == Ipv4Addr::LOCALHOST)?;

    step("It sends “one”, then nothing in a datagram, then “three”. All arrive.");
    for text in ["one", "", "three"] {
        net::until_arrived(to, || sender.send_to(text.as_bytes(), &to.into()))?;
    }
    let reads = [(); 4].map(|()| recv(fd, &mut [0; 16], DONTWAIT));
    observe("four reads, room for 16 bytes", format!("{reads:?}"));
    prove("one read, one datagram", (reads[0], reads[2]) == (Ok(3), Ok(5)))?;
    prove("0 is an empty one, not the end", reads[1] == Ok(0))?;
    prove("after the last: nothing yet, and no end", reads[3] == Err(EAGAIN))?;

    step("It sends ten bytes, three times. The buffer has room for four.");
    for _ in 0..3 {
        net::until_arrived(to, || sender.send_to(b"0123456789", &to.into()))?;
    }
    let mut buffer = [0; 4];
    let plain = recv(fd, &mut buffer, DONTWAIT);
    let size = recv(fd, &mut buffer, DONTWAIT | TRUNC);
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(fd, &mut buffers, None, DONTWAIT)?;
    let (bytes, flags) = (message.bytes, message.flags);
    let next = recv(fd, &mut buffer, DONTWAIT);
    observe("recv", format!("{plain:?}"));
    observe("recv with MSG_TRUNC", format!("{size:?}"));
    observe("recvmsg, flags", format!("Ok({bytes}), {flags:?}"));
    observe("recv once more", format!("{next:?}"));
    prove("the other six are gone", plain == Ok(4) && next == Err(EAGAIN))?;
    prove("who asks is told", size == Ok(10) && flags.contains(TRUNC))?;

    step("How much does one hold?");
    for (how, any, most) in
        [("over IPv4", "127.0.0.1:0", 65_507), ("over IPv6", "[::1]:0", 65_527)]
    {
        let Ok(socket) = UdpSocket::bind(any) else {
            observe(how, "not on this machine");
            continue;
        };
        let (fd, to) =
            (socket.as_raw_fd(), SockaddrStorage::from(socket.local_addr()?));
        let send = |size| sendto(fd, &vec![0; size], &to, MsgFlags::empty());
        let sent = [send(most), send(most + 1)];
        observe(how, format!("{sent:?}"));
        prove("65,535 less the headers", sent == [Ok(most), Err(EMSGSIZE)])?;
    }

    step("The receive buffer is made small. 100 are sent, then they are read.");
    // SO_RCVBUF; the kernel doubles it, for its own bookkeeping (socket(7)).
    SockRef::from(&receiver).set_recv_buffer_size(4096)?;
    let (mut sent, mut received) = (0, 0);
    for _ in 0..100 {
        sender.send_to(&[0; 100], &to.into())?;
        sent += 1;
    }
    until("one was dropped", || Ok(net::udp_at(to)?.drops > 0))?;
    until("each was received or dropped", || {
        while recv(fd, &mut [0; 100], DONTWAIT).is_ok() {
            received += 1;
        }
        Ok(received + net::udp_at(to)?.drops == sent)
    })?;
    observe("sendto succeeded", sent);
    observe("received", received);
    observe("the column drops", net::udp_at(to)?.drops);
    prove("what finds the buffer full is lost, without an error", received < sent)
}
