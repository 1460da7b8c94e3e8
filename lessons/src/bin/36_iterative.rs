//! What does the second client see?
//!
//! An iterative server serves one client after the other. The kernel, which does not
//! know that, accepts connections and data for all of them.
//! Predict: a second client connects and sends. Do connect and write succeed?
//! Neighbours: 27_handshake, 37_nonblocking, 38_fork_server.

use anyhow::Result;
use lessons::net::{self, State};
use lessons::serve::{Role, Server, Stop, says};
use lessons::{observe, prove, step, until};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, _) => serve(listener, &Stop::new()?),
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send, one client after the other.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    stop.shuts(&listener);
    while !stop.requested() {
        match listener.accept() {
            // An error of one client's connection is the end of that client only.
            Ok((client, _)) => _ = echo(client, stop),
            // It was gone before its turn came.
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) if stop.requested() => break,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn echo(mut client: TcpStream, stop: &Stop) -> std::io::Result<()> {
    let mut buffer = [0; 16384];
    stop.shuts(&client);
    let echoed = loop {
        let echoed = match client.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(n) => client.write_all(&buffer[..n]),
            Err(e) => Err(e),
        };
        if echoed.is_err() {
            break echoed;
        }
    };
    stop.forgets(&client);
    echoed
}

fn scene() -> Result<()> {
    lessons::open("What does the second client see?");
    let server = Server::start(&[])?;

    step("A server that serves one client after the other. The first one comes.");
    let mut first = TcpStream::connect(server.address)?;
    let answer = says(&mut first, "one")?;
    observe("the first sent one, and read", &answer);
    prove("it is served", answer == "one")?;

    step("A second one connects and sends 5 bytes, then 10 more.");
    let mut second = TcpStream::connect(server.address)?;
    second.write_all(b"hello")?;
    let (client, address) = (second.local_addr()?, server.address);
    until("5 bytes wait", || Ok(net::unread(address, client)? == 5))?;
    second.write_all(b" out there")?;
    until("15 bytes wait", || Ok(net::unread(address, client)? == 15))?;
    let its_end = net::state(client, address)?;
    let waiting = net::backlog(address)?;
    until("the server waits", || server.waits_in(libc::SYS_recvfrom))?;
    observe("state of its connection", its_end);
    observe("unread at the server (Recv-Q)", "5 bytes, then 15");
    observe("connections not accepted", waiting);
    observe("the server is in", "recvfrom(2)");
    prove("connect and write succeed", its_end == State::Established)?;
    prove("nobody has accepted it: the server waits for the first", waiting == 1)?;

    step("The first one leaves.");
    drop(first);
    let mut answer = [0; 15];
    second.read_exact(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    observe("the second reads", &answer);
    prove("nothing was lost, it had to wait", answer == "hello out there")?;

    step("The second sends 3 bytes; before the server reads them comes Ctrl-C.");
    server.interrupt_after(&second, "bye")?;
    let mut rest = String::new();
    second.read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("the second reads to the end", &rest);
    observe("the server ends with", status);
    prove("what has arrived is answered, then comes the end", rest == "bye")?;
    prove("the server ends by itself", status.success())?;

    step("The same with UDP: one socket for all, no connections.");
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    let server = std::thread::spawn(move || echo_datagrams(&socket));
    let [first, second] = [udp_client(address)?, udp_client(address)?];
    let answers = [datagram(&first, "one")?, datagram(&second, "hello")?];
    observe("the first and the second read", answers.join(", "));
    let again = datagram(&first, "two")?;
    observe("the first, in the middle of it", &again);
    first.send(b"")?;
    server.join().expect("it does not panic")?;
    prove("nobody waits for another to leave", answers == ["one", "hello"])?;
    prove("the server has no clients, only datagrams", again == "two")
}

/// Echoes datagrams until an empty one comes.
fn echo_datagrams(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        match socket.recv_from(&mut buffer)? {
            (0, _) => return Ok(()),
            (n, client) => socket.send_to(&buffer[..n], client)?,
        };
    }
}

fn udp_client(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    Ok(socket)
}

fn datagram(client: &UdpSocket, text: &str) -> Result<String> {
    client.send(text.as_bytes())?;
    let mut answer = [0; 1500];
    let n = client.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..n]).into_owned())
}
