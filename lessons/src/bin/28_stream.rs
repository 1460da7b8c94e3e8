//! Where does a message end?
//!
//! A stream keeps the order of the bytes and nothing else. read(2) returns what is
//! there, write(2) takes what there is room for. Messages are the program's work.
//! Predict: nobody reads yet, and one write(2) hands over a mebibyte. How much goes?
//! Neighbours: 17_eintr, 20_pipe, 29_shutdown.

use anyhow::{Result, ensure};
use lessons::{net, observe, prove, step, until};
use socket2::SockRef;
use std::io::{self, ErrorKind::Interrupted, Read, Write};
use std::net::TcpStream;
use std::thread::spawn;

fn main() -> Result<()> {
    lessons::open("Where does a message end?");
    let (mut client, mut server) = net::connected()?;
    let mut room = [0; 64];

    step("Three writes: one, two, three. Then one read, with room for 64 bytes.");
    for word in ["one", "two", "three"] {
        client.write_all(word.as_bytes())?;
    }
    until("all has arrived", || Ok(server.peek(&mut room)? == 11))?;
    let n = server.read(&mut room)?;
    observe("read(2)", format!("{n}: {}", room[..n].escape_ascii()));
    prove("the order is kept, the borders are not", &room[..n] == b"onetwothree")?;

    step("One write of 11 bytes. The echo comes as 5, 5, 1. Reads with room for 4.");
    let mut slow = echoed(b"onetwothree", 5)?;
    let reads = [(); 8].map(|()| slow.read(&mut room[..4]).unwrap_or(99));
    observe("read(2)", format!("{reads:?}"));
    prove("what is there and has room", reads[..5] == [4, 1, 4, 1, 1])?;
    prove("0 is the end, as often as you ask", reads[5..] == [0; 3])?;

    step(
        "Nobody reads, O_NONBLOCK: one write(2) of 1 MiB. Somebody reads: one more.",
    );
    // Set by hand, the buffers do not grow.
    SockRef::from(&client).set_send_buffer_size(64 << 10)?;
    SockRef::from(&server).set_recv_buffer_size(64 << 10)?;
    let message = vec![b'x'; 1 << 20];
    client.set_nonblocking(true)?;
    let first = client.write(&message)?;
    client.set_nonblocking(false)?;
    let reader = spawn(move || io::read_to_string(server));
    let second = client.write(&message[first..])?;
    drop(client);
    let received = reader.join().expect("it does not panic")?.len();
    observe("write(2), twice", format!("{first}, {second}"));
    prove("the first takes what there is room for", first < message.len())?;
    prove("the second goes on from there", received == message.len())?;

    step("Two messages of 12 bytes each are sent. The echo comes as 10, 10, 4.");
    let two = b"Hello, worldSee you soon";
    let (mut slow, mut length) = (echoed(two, 10)?, 0);
    let mut memory = [0; 32]; // char message[16], and what lies behind it
    while length < 12 {
        // Often written: length += read(sock, &message[length], BUF_SIZE - 1).
        length += slow.read(&mut memory[length..][..15])?;
    }
    observe("the usual loop, for the first", format!("{length} bytes into 16"));
    let mut message = [0; 12];
    let (mut slow, mut broken) = (echoed(two, 10)?, echoed(&two[..20], 10)?);
    let full = [(); 3].map(|()| read_full(&mut slow, &mut message).unwrap_or(99));
    let cut = [(); 3].map(|()| read_full(&mut broken, &mut message).unwrap_or(99));
    observe("the right one, three times", format!("{full:?}"));
    observe("if 4 bytes are lacking", format!("{cut:?}"));
    prove("it writes behind its buffer", length > 16)?;
    prove("ask for what is missing, and until 0", full == [12, 12, 0])?;
    prove("less than asked for: the stream was cut", cut == [12, 8, 0])?;

    step("Frames: four bytes say how many follow. The echo comes in threes.");
    let texts = ["one", "", "three"];
    // The length in network byte order: the most significant byte first.
    let frame = |t: &str| [&(t.len() as u32).to_be_bytes(), t.as_bytes()].concat();
    let mut slow = echoed(&texts.map(frame).concat(), 3)?;
    let mut received = Vec::new();
    while let Some(text) = read_frame(&mut slow)? {
        received.push(text);
    }
    let stranger = read_frame(&mut echoed(&[0xff; 4], 3)?);
    observe("frames", format!("{received:?}"));
    prove("the borders are back", received == texts)?;
    prove("a length of 0xffffffff is refused", stranger.is_err())
}

/// read(2) until the buffer is full or the peer has ended. How far it came.
fn read_full(from: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(length)
}

/// The text of the next frame; none if the peer has ended between two.
fn read_frame(from: &mut TcpStream) -> Result<Option<String>> {
    let mut length = [0; 4];
    let n = read_full(from, &mut length)?;
    if n == 0 {
        return Ok(None);
    }
    let length = u32::from_be_bytes(length) as usize;
    ensure!(n == 4 && length <= 1000, "cut off, or too long");
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    Ok(Some(String::from_utf8(text)?))
}

/// A client has sent this. The echo comes in pieces, each when the last was read.
fn echoed(bytes: &[u8], piece: usize) -> Result<TcpStream> {
    let (mut client, mut server) = net::connected()?;
    client.write_all(bytes)?;
    let mut bytes = vec![0; bytes.len()];
    spawn(move || {
        server.read_exact(&mut bytes)?;
        let (here, there) = (server.local_addr()?, server.peer_addr()?);
        bytes.chunks(piece).try_for_each(|piece| {
            server.write_all(piece)?;
            until("it is read", || net::all_read(here, there))
        })
    });
    Ok(client)
}
