//! Exercise 16: who is there: discovery by multicast
//!
//! Task: programs on one network find each other, though none of them knows an
//! address: who wants to know asks a group, and its members say their names.
//!
//! Contract: `exercise16 NAME INTERFACE PORT`: what to answer, the address of the
//! interface to use, and the port of all groups. Commands come on standard input,
//! one a line; GROUP is an IPv4 address:
//! - `join GROUP`: join it on that interface, and print `joined GROUP`.
//! - `leave GROUP`: leave it, and print `left GROUP`.
//! - `ask GROUP`: send `who is there?` in a datagram to the group, out by that
//!   interface, and from a port of its own. For each datagram that comes back print
//!   `TEXT is there`, whenever that is: another `ask` may have come meanwhile. Who
//!   asks need not be a member, and does not become one.
//! - When `who is there?` comes for a group that it has joined, send NAME in a
//!   datagram to the one who asked, and to nobody else. Send nothing when anything
//!   else comes, were it longer by a single byte. (What comes to the address of this
//!   host and not of a group you may answer or not.)
//! - Other programs on this host may have the same port (so set SO_REUSEADDR) and
//!   be in other groups, or in one that this program has left. A question to those
//!   is not answered.
//! - Commands and datagrams come at any time; while none does the program sleeps.
//!   When the input ends, end with status 0.
//!
//! Checked: that questions to joined groups are answered, once each, and no others;
//! membership, as /proc/net/igmp shows it; that it asks, and prints the answers.
//!
//! Given: `Options`, `Command`. Use std and socket2, or nix and libc; a thread for
//! each socket, or poll. Lesson: 35_multicast. Try it: in two terminals, each with
//! another name, cargo xtask run exercise16 anna 127.0.0.1 4000; join 239.1.2.3 in
//! one of them, ask 239.1.2.3 in the other one.

use anyhow::Context;
use std::io::BufRead;
use std::net::{Ipv4Addr, UdpSocket};

fn main() -> anyhow::Result<()> {
    let options = Options::from_args()?;
    let name = &options.name;
    let socket = UdpSocket::bind((options.interface, options.port))?;
    for line in std::io::stdin().lock().lines() {
        match Command::from_line(&line?)? {
            // Nobody listens, and no group has been joined.
            Command::Join(group) => println!("joined {group}"),
            Command::Leave(group) => println!("left {group}"),
            Command::Ask(group) => {
                eprintln!("{name} and {socket:?} do not ask {group} yet");
            }
        }
    }
    Ok(())
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
