//! How many threads are enough?
//!
//! A pool: threads are made once, so many, and each serves one client after another.
//! Who comes meanwhile waits in a queue; when that is full, nobody is accepted.
//! Predict: two workers, a queue for two, eight clients. How many are accepted?
//! Neighbours: 36_iterative, 39_thread_server, 44_epoll_server.

use anyhow::{Context, Result};
use lessons::net;
use lessons::serve::{Role, Server, Stop, says, shut_reading, wrong_use};
use lessons::{observe, proc, prove, step, until};
use nix::sys::signal::Signal;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::thread;

/// So many threads serve, unless another number is asked for.
const WORKERS: usize = 16;
/// So many clients wait for one of them.
const QUEUE: usize = 16;

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, args) => {
            let number = |arg: &String| match arg.parse() {
                Ok(number @ 1..=400) => number,
                _ => wrong_use("serve ADDRESS [WORKERS [QUEUE]], both up to 400"),
            };
            let workers = args.first().map_or(WORKERS, number);
            let queue = args.get(1).map_or(QUEUE, number);
            serve_with(listener, &Stop::new()?, workers, queue)
        }
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send, to so many at a time as there are workers.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    serve_with(listener, stop, WORKERS, QUEUE)
}

fn serve_with(
    listener: TcpListener,
    stop: &Stop,
    workers: usize,
    most: usize,
) -> Result<()> {
    let (queue, clients) = sync_channel(most);
    let served = Mutex::new(vec![NOBODY; workers]);
    let pool = &Pool { clients: Mutex::new(clients), served };
    stop.shuts(&listener);
    thread::scope(|scope| {
        let thread = thread::Builder::new;
        // Main may be waiting for room in the queue, and no signal ends that.
        thread().spawn_scoped(scope, || stop.wait().map(|()| pool.shut()))?;
        let start = |worker| {
            let work = move || pool.work(worker, stop);
            thread().spawn_scoped(scope, work).map(drop)
        };
        let started =
            (0..workers).try_for_each(start).context("cannot start all workers");
        let served = started.and_then(|()| accept(&listener, &queue, stop));
        // The workers serve whom it still holds, and end.
        drop(queue);
        stop.request();
        served
    })
}

fn accept(
    listener: &TcpListener,
    queue: &SyncSender<TcpStream>,
    stop: &Stop,
) -> Result<()> {
    loop {
        match listener.accept() {
            // This waits while the queue is full.
            Ok((client, _)) => queue.send(client)?,
            Err(_) if stop.requested() => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

fn echo(mut client: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16384];
    loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            n => client.write_all(&buffer[..n])?,
        }
    }
}

struct Pool {
    /// The end of the queue from which the workers take.
    clients: Mutex<Receiver<TcpStream>>,
    /// Whom each of them serves: the client's descriptor.
    served: Mutex<Vec<RawFd>>,
}

const NOBODY: RawFd = -1;

impl Pool {
    /// What each worker does: it serves one after the other, until no more come.
    fn work(&self, worker: usize, stop: &Stop) {
        while let Some(client) = self.next() {
            self.served()[worker] = client.as_raw_fd();
            if stop.requested() {
                self.shut();
            }
            // An error of one client's connection is the end of that client only.
            let _ = echo(&client);
            self.served()[worker] = NOBODY;
        }
    }

    /// One worker waits for the queue, and the others for the lock.
    fn next(&self) -> Option<TcpStream> {
        self.clients.lock().expect("nobody panics with it").recv().ok()
    }

    fn served(&self) -> MutexGuard<'_, Vec<RawFd>> {
        self.served.lock().expect("nobody panics with it")
    }

    /// Nothing more arrives from those who are being served.
    fn shut(&self) {
        for &fd in self.served().iter().filter(|&&fd| fd != NOBODY) {
            shut_reading(&fd);
        }
    }
}

fn scene() -> Result<()> {
    lessons::open("How many threads are enough?");

    step("Two workers, and a queue with room for two. Nobody is there.");
    let server = Server::start(&["2", "2"])?;
    let threads = || proc::threads(server.pid());
    until("they have started", || Ok(threads()? == 4))?;
    let before = threads()?;
    observe("threads", before);
    prove("main, one that waits for Ctrl-C, two workers", before == 4)?;

    step("Two clients come and are served. Then six more, who also speak.");
    let mut clients = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..2 {
        clients.push(TcpStream::connect(server.address)?);
        answers.push(says(&mut clients[answers.len()], "hello")?);
    }
    for number in b'3'..=b'8' {
        clients.push(TcpStream::connect(server.address)?);
        clients[usize::from(number - b'1')].write_all(&[number])?;
    }
    let backlog = || net::backlog(server.address);
    let full = || Ok(server.waits_in(libc::SYS_futex)? && backlog()? == 3);
    until("main waits for room", full)?;
    until("the workers wait", || Ok(in_recv(&server)? == 2))?;
    let (accepted, waiting) = (net::accepted(server.address)?, backlog()?);
    let served = in_recv(&server)?;
    observe("the two read", answers.join(", "));
    observe("accepted", accepted);
    observe("of them served, in recvfrom(2)", served);
    observe("connected, not accepted", waiting);
    observe("main is in", "futex(2), not in accept(2)");
    prove("there are no more threads than before", threads()? == before)?;
    prove("a full queue stops accept", (accepted, waiting) == (5, 3))?;
    prove("clients that say nothing hold both workers", served == 2)?;

    step("One of the two leaves.");
    drop(clients.remove(0));
    let mut answer = [0];
    clients[1].read_exact(&mut answer)?;
    until("main waits for room again", || {
        Ok(server.waits_in(libc::SYS_futex)? && backlog()? == 2)
    })?;
    observe("the third reads", String::from_utf8_lossy(&answer));
    observe("connected, not accepted", backlog()?);
    prove("everybody moves up by one", (answer, backlog()?) == (*b"3", 2))?;

    step("All seven send 3 bytes more; before the server reads them, Ctrl-C.");
    server.pause()?;
    for client in &mut clients {
        client.write_all(b"bye")?;
    }
    let unread = |c: &TcpStream| net::unread(server.address, c.local_addr()?);
    let all = || clients.iter().map(unread).sum::<Result<usize>>();
    until("two times 3 and five times 4 bytes wait", || Ok(all()? == 26))?;
    server.signal(Signal::SIGINT)?;
    server.signal(Signal::SIGCONT)?;
    let (mut answered, mut reset) = (Vec::new(), 0);
    for mut client in clients {
        let mut rest = String::new();
        match client.read_to_string(&mut rest) {
            Ok(_) => answered.push(rest),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => reset += 1,
            Err(e) => return Err(e.into()),
        }
    }
    let status = server.wait()?;
    observe("to the end they read", answered.join(", "));
    observe("connections that are reset", reset);
    observe("the server ends with", status);
    let all = answered.join(" ") == "bye bye 4bye 5bye 6bye";
    prove("who was accepted is answered, in the queue too", all)?;
    prove("who was not learns it at once", reset == 2)?;
    prove("the server ends by itself", status.success())
}

/// How many of its threads wait for a client to say something.
fn in_recv(server: &Server) -> Result<usize> {
    let mut count = 0;
    for tid in proc::tids(server.pid())? {
        let call = proc::syscall(server.pid(), tid)?;
        count += usize::from(call.is_some_and(|c| c.number == libc::SYS_recvfrom));
    }
    Ok(count)
}
