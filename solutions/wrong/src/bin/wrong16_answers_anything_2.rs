//! Believes that a datagram is a line, with or without its end.

use anyhow::Context;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;

const QUESTION: &str = "who is there?";

fn main() -> anyhow::Result<()> {
    let options = Options::from_args()?;
    let (interface, port) = (options.interface, options.port);
    let member = member(port)?;
    let asker = UdpSocket::bind((interface, 0))?;
    // IP_MULTICAST_IF: by this interface, whatever the routes say.
    SockRef::from(&asker).set_multicast_if_v4(&interface)?;

    let (questions, answers) = (member.try_clone()?, asker.try_clone()?);
    thread::Builder::new().spawn(move || answer(&questions, &options.name))?;
    thread::Builder::new().spawn(move || print_answers(&answers))?;
    for line in std::io::stdin().lock().lines() {
        match Command::from_line(&line?)? {
            Command::Join(group) => {
                member.join_multicast_v4(&group, &interface)?;
                println!("joined {group}");
            }
            Command::Leave(group) => {
                member.leave_multicast_v4(&group, &interface)?;
                println!("left {group}");
            }
            Command::Ask(group) => {
                asker.send_to(QUESTION.as_bytes(), (group, port))?;
            }
        }
    }
    Ok(())
}

/// A socket at the port, which others may have too.
fn member(port: u16) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    // IP_MULTICAST_ALL: of groups that others have joined it hears nothing.
    socket.set_multicast_all_v4(false)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    Ok(socket.into())
}

fn answer(member: &UdpSocket, name: &str) -> std::io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let (size, from) = member.recv_from(&mut buffer)?;
        if buffer[..size].trim_ascii_end() == QUESTION.as_bytes() {
            // Who asked may have gone; that is no reason to end.
            let _ = member.send_to(name.as_bytes(), from);
        }
    }
}

fn print_answers(asker: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let size = asker.recv(&mut buffer)?;
        println!("{} is there", String::from_utf8_lossy(&buffer[..size]));
    }
}

/// What the arguments say.
struct Options {
    name: String,
    interface: Ipv4Addr,
    port: u16,
}

impl Options {
    fn from_args() -> anyhow::Result<Options> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [name, interface, port] = &words[..] else {
            anyhow::bail!("usage: exercise16 NAME INTERFACE PORT");
        };
        Ok(Options {
            name: name.clone(),
            interface: interface.parse().context("INTERFACE, as 127.0.0.1")?,
            port: port.parse().context("PORT")?,
        })
    }
}

/// A line of standard input.
enum Command {
    Join(Ipv4Addr),
    Leave(Ipv4Addr),
    Ask(Ipv4Addr),
}

impl Command {
    fn from_line(line: &str) -> anyhow::Result<Command> {
        let (word, group) = line.split_once(' ').context("COMMAND GROUP")?;
        let group = group.parse().context("GROUP, as 239.1.2.3")?;
        Ok(match word {
            "join" => Command::Join(group),
            "leave" => Command::Leave(group),
            "ask" => Command::Ask(group),
            _ => anyhow::bail!("the commands are join, leave and ask"),
        })
    }
}
