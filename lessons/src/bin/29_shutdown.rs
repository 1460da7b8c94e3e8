//! How do I stop sending and still listen?
//!
//! A connection has two directions, and each ends by a FIN of its own. shutdown(2)
//! ends one of them. close(2) gives up a descriptor; the last one ends both.
//! Predict: a client has said that it will say no more. Can it still be answered?
//! Neighbours: 25_fd, 27_handshake, 30_reset.

use anyhow::Result;
use lessons::net::{self, Both, State::*};
use lessons::{lossy, observe, proc, prove, step, until};
use nix::errno::Errno::EPIPE;
use nix::unistd::{dup, read, write};
use socket2::{SockRef, Socket};
use std::io::Write;
use std::net::{Shutdown, SocketAddr};

fn main() -> Result<()> {
    lessons::open("How do I stop sending and still listen?");
    let connected = Both(Established, Established);

    step("A client asks, then shutdown(SHUT_WR). The server answers with 1 MiB.");
    let (client, server, ends) = connection()?;
    client.send(b"hello")?;
    client.shutdown(Shutdown::Write)?;
    observe("the server reads, then 0", read_to_the_end(&server)?);
    let half = reaches("client, server", ends, Both(FinWait2, CloseWait))?;
    let refused = write(&client, b"?");
    let writer = std::thread::spawn(move || (&server).write_all(&[0; 1 << 20]));
    until("the server waits", || {
        Ok(!proc::blocked_in(libc::SYS_sendto)?.is_empty())
    })?;
    let stuck = net::unread(ends.0, ends.1)?;
    let answer = read_to_the_end(&client)?;
    writer.join().expect("it does not panic")?;
    observe("write(2) by the client", format!("{refused:?}"));
    observe("both buffers are full, unread", stuck);
    observe("the client reads, then 0", answer);
    prove("who has sent FIN sends no more", refused == Err(EPIPE))?;
    prove(
        "and receives as before, to the end",
        stuck < answer && answer == 1 << 20,
    )?;

    step("Both end, one after the other. Each FIN is lost once, and repeated.");
    let (client, server, ends) = connection()?;
    lossy::lose(&server)?;
    client.shutdown(Shutdown::Write)?;
    reaches("the client's FIN is sent", ends, Both(FinWait1, Established))?;
    lossy::lose_nothing(&server)?;
    reaches("it has arrived", ends, Both(FinWait2, CloseWait))?;
    lossy::lose(&client)?;
    drop(server);
    reaches("the server's FIN is sent", ends, Both(FinWait2, LastAck))?;
    lossy::lose_nothing(&client)?;
    let end = reaches("it has arrived", ends, Both(TimeWait, Closed))?;
    prove("the first to end keeps TIME-WAIT", end == Both(TimeWait, Closed))?;

    step("shutdown(SHUT_RD) by the client. Then the server sends 5 bytes.");
    let (client, server, ends) = connection()?;
    client.shutdown(Shutdown::Read)?;
    let before = read(&client, &mut [0; 9]);
    let told = net::both(ends.0, ends.1)?;
    server.send(b"hello")?;
    until("they have arrived", || Ok(net::unread(ends.0, ends.1)? == 5))?;
    let after = [(); 2].map(|()| read(&client, &mut [0; 9]));
    observe("read(2) before", format!("{before:?}"));
    observe("client, server", told);
    observe("read(2) after, twice", format!("{after:?}"));
    prove("read(2) does not wait, and nothing is sent", told == connected)?;
    prove("on Linux what comes can still be read", after == [Ok(5), Ok(0)])?;

    step(
        "dup(2) of the client. One copy is closed. One more is made and shut down.",
    );
    let (client, server, ends) = connection()?;
    drop(dup(&client)?);
    let closed = net::both(ends.0, ends.1)?;
    let copy = dup(&client)?;
    SockRef::from(&copy).shutdown(Shutdown::Write)?;
    let end = read(&server, &mut [0; 9]);
    let refused = write(&client, b"?");
    observe("a copy closed: client, server", closed);
    observe("one shut down: server reads", format!("{end:?}"));
    observe("write(2) to the other copy", format!("{refused:?}"));
    prove("close(2) of one sends no FIN", closed == connected)?;
    prove("shutdown(2) is for all copies", (end, refused) == (Ok(0), Err(EPIPE)))?;

    step("A client asks, and closes instead. The server writes its answer, twice.");
    let (client, server, ends) = connection()?;
    client.send(b"hello")?;
    drop(client);
    read_to_the_end(&server)?;
    let looks = reaches("client, server", ends, Both(FinWait2, CloseWait))?;
    let first = write(&server, b"one");
    observe("the first write(2)", format!("{first:?}"));
    let reset = reaches("client, server", ends, Both(Closed, Closed))?;
    let second = write(&server, b"two");
    observe("the second write(2)", format!("{second:?}"));
    prove("close(2) sends FIN too: the server sees no difference", looks == half)?;
    prove("until it writes: the answer is RST", first == Ok(3) && reset != looks)?;
    prove("and the next write(2) fails", second == Err(EPIPE))
}

type Ends = (SocketAddr, SocketAddr);

/// A client's end, the server's, and their addresses.
fn connection() -> Result<(Socket, Socket, Ends)> {
    let (client, server) = net::connected()?;
    let ends = (client.local_addr()?, server.local_addr()?);
    let (client, server) = (Socket::from(client), Socket::from(server));
    // Set by hand, the buffers do not grow; the kernel doubles it (socket(7)).
    client.set_recv_buffer_size(64 << 10)?;
    server.set_send_buffer_size(64 << 10)?;
    Ok((client, server, ends))
}

/// Waits until both are in these states, and shows them.
fn reaches(what: &str, (client, server): Ends, states: Both) -> Result<Both> {
    until(&format!("they are {states}"), || {
        Ok(net::both(client, server)? == states)
    })?;
    observe(what, net::both(client, server)?);
    net::both(client, server)
}

/// read(2) until it returns 0. How many bytes came.
fn read_to_the_end(socket: &Socket) -> std::io::Result<usize> {
    Ok(std::io::read_to_string(socket)?.len())
}
