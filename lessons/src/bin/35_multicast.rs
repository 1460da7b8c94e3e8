//! Who hears a group?
//!
//! A group is an address that nobody owns. A socket joins it on one interface, and
//! from then on the host takes in what comes there for it. Who sends need not join.
//! Predict: one socket has joined, another with the same port has not. Who hears?
//! Neighbours: 32_udp, 34_broadcast.

use lessons::net::{members, udp_that_share};
use lessons::{observe, prove, step, until};
use nix::net::if_::if_nametoindex;
use socket2::SockRef;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LO: Ipv4Addr = Ipv4Addr::LOCALHOST; // Its address names the interface.
const TO_GROUP: &str = "to the group";
const TO_HOST: &str = "to this host";

fn main() -> anyhow::Result<()> {
    lessons::open("Who hears a group?");
    let mut ears = vec![UdpSocket::bind((ANY, 0))?];
    ears[0].set_nonblocking(true)?;
    let port = ears[0].local_addr()?.port();
    // Nobody else has this port, so nobody else makes this group out of it.
    let [high, low] = port.to_be_bytes();
    let group = Ipv4Addr::new(239, 255, high, low);
    let joined = || members("lo", group.into());
    let sender = UdpSocket::bind((ANY, 0))?;
    // IP_MULTICAST_IF: by which interface, whatever the routes say.
    SockRef::from(&sender).set_multicast_if_v4(&LO)?;
    let to_group = || sender.send_to(TO_GROUP.as_bytes(), (group, port));
    let to_host = || sender.send_to(TO_HOST.as_bytes(), (LO, port));

    step("Nobody has joined. One datagram to the group, then one to this host.");
    to_group()?;
    to_host()?;
    let arrived = read(&ears, 1)?;
    observe("members on lo, says igmp", joined()?);
    observe("the first to arrive", &arrived[0]);
    prove("no member: nobody hears", joined()? == 0 && arrived == [TO_HOST])?;

    step("The socket joins, on lo. The sender does not. Another datagram.");
    ears[0].join_multicast_v4(&group, &LO)?; // IP_ADD_MEMBERSHIP
    to_group()?;
    let arrived = read(&ears, 1)?;
    observe("members on lo, says igmp", joined()?);
    observe("the first to arrive", &arrived[0]);
    prove("the member hears", joined()? == 1 && arrived == [TO_GROUP])?;

    step("Three more sockets have the port, and have not joined. Who hears?");
    SockRef::from(&ears[0]).set_reuse_address(true)?;
    ears.extend(udp_that_share(&[ANY, group, ANY], port)?);
    SockRef::from(&ears[3]).set_multicast_all_v4(false)?; // IP_MULTICAST_ALL
    to_group()?;
    let arrived = read(&ears, 3)?;
    observe("the member", &arrived[0]);
    observe("bound to 0.0.0.0", &arrived[1]);
    observe("bound to the group", &arrived[2]);
    observe("with IP_MULTICAST_ALL off", &arrived[3]);
    prove("the host has joined: others hear, too", arrived[..3] == [TO_GROUP; 3])?;
    prove("unless they want their own groups only", arrived[3] == "nothing")?;

    step("The last of them joins, the first leaves. Then all but that are closed.");
    ears[3].join_multicast_v4(&group, &LO)?;
    let two = joined()?;
    ears[0].leave_multicast_v4(&group, &LO)?; // IP_DROP_MEMBERSHIP
    let one = joined()?;
    to_group()?;
    let still = read(&ears, 4)?;
    ears.truncate(1);
    let none = joined()?;
    to_group()?;
    to_host()?;
    let arrived = read(&ears, 1)?;
    observe("members on lo, says igmp", format!("{two}, {one}, {none}"));
    observe("to arrive at the first", format!("{}, {}", still[0], arrived[0]));
    prove("who leaves hears on, while another stays", still == [TO_GROUP; 4])?;
    prove("to close is to leave", none == 0 && arrived == [TO_HOST])?;

    step("How far does it go?");
    let limits = (sender.multicast_ttl_v4()?, sender.multicast_loop_v4()?);
    ears[0].join_multicast_v4(&group, &LO)?;
    sender.set_multicast_ttl_v4(0)?;
    sender.set_multicast_loop_v4(false)?;
    to_group()?;
    let arrived = read(&ears, 1)?;
    observe("IP_MULTICAST_TTL, _LOOP", format!("{limits:?}"));
    observe("with 0 and false arrives", &arrived[0]);
    prove("by default it stays on the link", limits == (1, true))?;
    prove("lo, which nothing leaves, heeds neither", arrived == [TO_GROUP])?;

    step("IPv6 names an interface by its number.");
    let Ok(ear) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        observe("bind to ::1", "no IPv6 here");
        return Ok(());
    };
    // ff11: a group for the time being (1), on one interface (1).
    let group = Ipv6Addr::new(0xff11, 0, 0, 0, 0, 0, 0, port);
    let lo = if_nametoindex("lo")?;
    ear.join_multicast_v6(&group, lo)?; // IPV6_ADD_MEMBERSHIP
    let one = members("lo", group.into())?;
    SockRef::from(&ear).set_multicast_if_v6(lo)?; // IPV6_MULTICAST_IF
    let sent = ear.send_to(b"?", (group, port)).map_err(|e| e.kind());
    ear.leave_multicast_v6(&group, lo)?;
    let none = members("lo", group.into())?;
    let all = members("lo", Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into())?;
    observe("members on lo, says igmp6", format!("{one}, {none}"));
    observe("of ff02::1, all hosts", all);
    observe("sendto by lo", format!("{sent:?}"));
    prove("it is joined and left in the same way", (one, none) == (1, 0))?;
    prove("each host is in ff02::1: IPv6 needs no broadcast", all > 0)
}

/// What has arrived at each, once something has at so many of them.
fn read(ears: &[UdpSocket], many: usize) -> anyhow::Result<Vec<String>> {
    let any = |ear: &&UdpSocket| ear.peek(&mut [0]).is_ok();
    until("it arrives", || Ok(ears.iter().filter(any).count() >= many))?;
    let text = |ear: &UdpSocket| {
        let mut bytes = [0; 16];
        let read = ear.recv(&mut bytes).map(|size| &bytes[..size]);
        String::from_utf8_lossy(read.unwrap_or(b"nothing")).into_owned()
    };
    Ok(ears.iter().map(text).collect())
}
