//! When does close lose data?
//!
//! write(2) hands data over to the kernel. After close(2) the kernel goes on sending
//! it, unless something was left unread or comes too late: then it breaks off.
//! Predict: a server reads all but one byte, answers and closes. What arrives?
//! Neighbours: 28_stream, 29_shutdown, 31_reuseaddr.

use anyhow::{Context, Result};
use lessons::net::{self, Both, State::*};
use lessons::{observe, prove, step, until};
use nix::errno::Errno::ECONNRESET;
use nix::unistd::{read, write};
use socket2::Socket;
use std::net::{Shutdown, SocketAddr};

fn main() -> Result<()> {
    lessons::open("When does close lose data?");

    step("The client sends 5 bytes. The server reads 4, answers, and closes.");
    let call = Call::answered(4)?;
    drop(call.server);
    reaches(call.ends, Both(Closed, Closed))?;
    let (got, end) = read_to_the_end(&call.client);
    observe("the client reads, then", format!("{got}, {end:?}"));
    prove("a byte is unread: close(2) sends RST", end == Err(ECONNRESET))?;
    prove("what has arrived can be read (on Linux)", got >= call.arrived)?;
    prove("the rest is lost, though write(2) took it", got < call.written)?;

    step("The same, but the server reads all 5.");
    let call = Call::answered(5)?;
    drop(call.server);
    reaches(call.ends, Both(Established, FinWait1))?;
    let nobody = net::connection(call.ends.1, call.ends.0)?.context("it is gone")?;
    let (got, end) = read_to_the_end(&call.client);
    observe("inode of the server's end", nobody.inode);
    observe("bytes it has still to deliver", nobody.unacknowledged);
    observe("the client reads, then", format!("{got}, {end:?}"));
    prove("nobody has it open: the kernel delivers", nobody.inode == 0)?;
    prove("all arrives, then FIN", (got, end) == (call.written, Ok(0)))?;

    step("The same. Before the client reads, it sends one byte more.");
    let call = Call::answered(5)?;
    drop(call.server);
    write(&call.client, b"?")?;
    reaches(call.ends, Both(Closed, Closed))?;
    let (got, end) = read_to_the_end(&call.client);
    observe("the client reads, then", format!("{got}, {end:?}"));
    prove("what comes after close(2): RST", end == Err(ECONNRESET))?;
    prove("and the rest is lost", got < call.written)?;

    step("All is read. The server sets SO_LINGER to 0 seconds, and closes.");
    let call = Call::answered(5)?;
    call.server.set_linger(Some(std::time::Duration::ZERO))?;
    drop(call.server);
    reaches(call.ends, Both(Closed, Closed))?;
    let (got, end) = read_to_the_end(&call.client);
    observe("the client reads, then", format!("{got}, {end:?}"));
    prove("then close(2) always sends RST", end == Err(ECONNRESET))?;
    prove("and the rest is lost", got < call.written)?;

    step("4 of 5 are read. The server calls shutdown(SHUT_WR), and reads on.");
    let call = Call::answered(4)?;
    call.server.shutdown(Shutdown::Write)?;
    write(&call.client, b"?")?;
    reaches(call.ends, Both(Established, FinWait1))?;
    let (got, end) = read_to_the_end(&call.client);
    observe("the client reads, then", format!("{got}, {end:?}"));
    drop(call.client);
    let (late, last) = read_to_the_end(&call.server);
    observe("the server reads, then", format!("{late}, {last:?}"));
    drop(call.server);
    reaches(call.ends, Both(Closed, TimeWait))?;
    prove("all arrives: close(2) finds nothing unread", got == call.written)?;
    prove("and both know it", (end, late, last) == (Ok(0), 2, Ok(0)))
}

/// 5 bytes were sent. The answer is longer than the buffer of the client.
struct Call {
    client: Socket,
    server: Socket,
    ends: (SocketAddr, SocketAddr),
    written: usize,
    arrived: usize,
}

impl Call {
    /// The server has read so many of the 5.
    fn answered(read_of_5: usize) -> Result<Call> {
        let (client, server) = net::connected()?;
        let ends = (client.local_addr()?, server.local_addr()?);
        let (client, server) = (Socket::from(client), Socket::from(server));
        write(&client, b"hello")?;
        until("they arrive", || Ok(net::unread(ends.1, ends.0)? == 5))?;
        read(&server, &mut vec![0; read_of_5])?;
        server.set_nonblocking(true)?;
        let (mut written, mut arrived) = (0, 0);
        until("nothing more fits", || {
            while let Ok(n) = write(&server, &[0; 1 << 16]) {
                written += n;
            }
            let end = net::connection(ends.1, ends.0)?.context("it is gone")?;
            arrived = net::unread(ends.0, ends.1)?;
            Ok(arrived + end.unacknowledged == written && arrived < written)
        })?;
        server.set_nonblocking(false)?;
        observe("written, arrived", format!("{written}, {arrived}"));
        Ok(Call { client, server, ends, written, arrived })
    }
}

/// Waits until both are in these states, and shows them.
fn reaches((client, server): (SocketAddr, SocketAddr), states: Both) -> Result<()> {
    until(&format!("they are {states}"), || {
        Ok(net::both(client, server)? == states)
    })?;
    observe("client, server", net::both(client, server)?);
    Ok(())
}

/// read(2) until there is no more. How many bytes came, and how it ended.
fn read_to_the_end(socket: &Socket) -> (usize, nix::Result<usize>) {
    let (mut got, mut buffer) = (0, [0; 1 << 16]);
    loop {
        match read(socket, &mut buffer) {
            Ok(n @ 1..) => got += n,
            end => return (got, end),
        }
    }
}
