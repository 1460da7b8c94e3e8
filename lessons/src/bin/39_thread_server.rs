//! Who owns the client's descriptor?
//!
//! A thread for each client: all threads share one table of descriptors. Nothing is
//! copied, and each number is closed once, by its owner. A table has the clients.
//! Predict: a thread closes the listening socket, as a child does. Who notices?
//! Neighbours: 02_params, 38_fork_server, 40_pool.

use anyhow::Result;
use lessons::net::{self, State};
use lessons::serve::{Role, Server, Stop, says, shut_reading, wrong_use};
use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno::EBADF;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::accept;
use nix::unistd::{close, read, write};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Barrier, Mutex, MutexGuard};
use std::thread;

/// So many clients at a time, unless another number is asked for.
const MOST: usize = 10_000;
/// Descriptors that are not a client's: the standard ones and a few more.
const OTHERS: usize = 16;
const FULL: &[u8] = b"too many clients, come again\n";

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, args) => match args.first().map(|n| n.parse()) {
            None => serve(listener, &Stop::new()?),
            Some(Ok(most)) => serve_most(listener, &Stop::new()?, most),
            Some(Err(_)) => wrong_use("serve ADDRESS [MOST CLIENTS]"),
        },
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send, to each of them from a thread of its own.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    serve_most(listener, stop, MOST)
}

fn serve_most(listener: TcpListener, stop: &Stop, most: usize) -> Result<()> {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE)?.0 as usize;
    let slots = Slots::new(most.min(descriptors.saturating_sub(OTHERS)));
    stop.shuts(&listener);
    thread::scope(|scope| {
        let served = loop {
            match listener.accept() {
                Ok((client, _)) => match slots.take(client) {
                    // Its thread owns it from here on. Without one, it is closed.
                    Ok(slot) => {
                        let work = move || slot.client.as_ref().map(echo);
                        let _ = thread::Builder::new().spawn_scoped(scope, work);
                    }
                    Err(client) => _ = refuse(client),
                },
                Err(_) if stop.requested() => break Ok(()),
                Err(e) => break Err(e.into()),
            }
        };
        slots.shut();
        served
    })
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

/// One sentence, then the end. Who accepts must not wait for anybody.
fn refuse(mut client: TcpStream) -> io::Result<()> {
    client.set_nonblocking(true)?;
    client.write_all(FULL)?;
    client.shutdown(Shutdown::Write)?;
    // To close with unread input would be a reset (30_reset).
    client.read(&mut [0; 16384]).map(drop)
}

/// The clients' descriptors, a slot for each. Who looks into it, holds the lock.
struct Slots(Mutex<Vec<RawFd>>);

/// What stands in a slot that nobody has.
const FREE: RawFd = -1;

/// A client, for whoever serves it, and its slot.
struct Slot<'a> {
    client: Option<TcpStream>,
    index: usize,
    slots: &'a Slots,
}

impl Slots {
    fn new(most: usize) -> Slots {
        Slots(Mutex::new(vec![FREE; most]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RawFd>> {
        self.0.lock().expect("nobody panics with it")
    }

    /// To find a free one and to take it is one step. The client comes back if there
    /// is none.
    fn take(&self, client: TcpStream) -> Result<Slot<'_>, TcpStream> {
        let mut slots = self.lock();
        let Some(index) = slots.iter().position(|&fd| fd == FREE) else {
            return Err(client);
        };
        slots[index] = client.as_raw_fd();
        Ok(Slot { client: Some(client), index, slots: self })
    }

    /// Nothing more arrives from any of them. The lock keeps the numbers theirs.
    fn shut(&self) {
        for &fd in self.lock().iter().filter(|&&fd| fd != FREE) {
            shut_reading(&fd);
        }
    }
}

impl Drop for Slot<'_> {
    /// However the thread ends. Closed and free in one step: a number that is closed
    /// may be another's at once.
    fn drop(&mut self) {
        let mut slots = self.slots.lock();
        drop(self.client.take());
        slots[self.index] = FREE;
    }
}

fn scene() -> Result<()> {
    lessons::open("Who owns the client's descriptor?");

    step("A server, and three clients that stay. The last one speaks first.");
    let server = Server::start(&["3"])?;
    let connect = |_| TcpStream::connect(server.address);
    let mut clients = (0..3).map(connect).collect::<io::Result<Vec<_>>>()?;
    let answers = clients.iter_mut().rev().map(|client| says(client, "hello"));
    let answers = answers.collect::<Result<Vec<_>>>()?.join(", ");
    let tids = proc::tids(server.pid())?;
    let children = proc::descendants(server.pid())?.len();
    let table = |tid| proc::descriptors(server.pid(), tid);
    let tables = tids.iter().map(|&tid| table(tid)).collect::<Result<Vec<_>>>()?;
    let sockets = net::tcp_of(server.pid())?.len();
    let sizes: Vec<usize> = tables.iter().map(Vec::len).collect();
    observe("they read", answers);
    observe("threads, children", format!("{}, {children}", tids.len()));
    observe("descriptors, by thread", format!("{sizes:?}, {sockets} TCP sockets"));
    prove("a thread for each, and one that accepts", tids.len() == 4)?;
    let same = tables.iter().all(|table| *table == tables[0]);
    prove("one table for all: nothing is copied", same && sockets == 4)?;

    step("A fourth one comes, and speaks. There are three slots. One leaves.");
    server.pause()?;
    let mut fourth = TcpStream::connect(server.address)?;
    fourth.write_all(b"hello")?;
    until("5 bytes wait", || Ok(unread_at(&server, &fourth)? == 5))?;
    server.signal(Signal::SIGCONT)?;
    let mut text = String::new();
    fourth.read_to_string(&mut text)?;
    let threads = || proc::threads(server.pid());
    let then = threads()?;
    drop(clients.remove(0));
    until("its thread has ended", || Ok(threads()? == 3))?;
    clients.push(TcpStream::connect(server.address)?);
    let answer = says(&mut clients[2], "hello")?;
    observe("the fourth reads to the end", text.trim_end());
    observe("threads then", then);
    observe("the fifth reads", &answer);
    prove("refused, with a sentence and an orderly end", text.as_bytes() == FULL)?;
    prove("and not served after all; a slot comes back", then == 4)?;

    step("By hand. As a forked child would: a thread closes the listening socket.");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut client = TcpStream::connect(address)?;
    let cfd = listener.accept()?.0.into_raw_fd();
    let lfd = listener.into_raw_fd();
    in_threads([lfd], close)[0]?;
    let accepted = accept(lfd);
    observe("accept, in main", format!("{accepted:?}"));
    prove("it is closed for all: nobody closes it", accepted == Err(EBADF))?;

    step("As its parent would: main closes the client's, which a thread serves.");
    close(cfd)?;
    // SAFETY: whether it is open is the question, and nothing else is opened here.
    let number = unsafe { BorrowedFd::borrow_raw(cfd) };
    let late = in_threads([number], |fd| read(fd, &mut [0]))[0];
    let end = client.read(&mut [0])?;
    observe("read, in the thread", format!("{late:?}"));
    observe("the client reads", end);
    prove("closed while another needs it", (late, end) == (Err(EBADF), 0))?;

    step("As in C: one variable, &cfd for two threads, and they look late.");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let connect = |_| TcpStream::connect(address);
    let two = (0..2).map(connect).collect::<io::Result<Vec<_>>>()?;
    let unread = || -> Result<Vec<usize>> {
        let bytes = |c: &TcpStream| net::unread(c.local_addr()?, address);
        two.iter().map(bytes).collect()
    };
    let (cfd, both) = (AtomicI32::new(FREE), Barrier::new(2));
    let mut owned = Vec::new();
    thread::scope(|scope| -> Result<()> {
        for _ in 0..2 {
            owned.push(listener.accept()?.0);
            cfd.store(owned[owned.len() - 1].as_raw_fd(), SeqCst);
            scope.spawn(|| {
                both.wait(); // Both clients are accepted.
                // SAFETY: the connections are closed after the threads have ended.
                let client = unsafe { BorrowedFd::borrow_raw(cfd.load(SeqCst)) };
                write(client, b"x")
            });
        }
        Ok(())
    })?;
    until("2 bytes arrive", || Ok(unread()?.iter().sum::<usize>() == 2))?;
    let late = unread()?;
    let first = net::state(two[0].local_addr()?, address)?;
    observe("bytes for the two clients", format!("{late:?}"));
    observe("the first one's connection", first);
    prove("both threads serve the second", late == [0, 2])?;
    prove("the first is open, and nobody's", first == State::Established)?;

    step("In Rust: each connection moves into its thread.");
    let both = &both;
    let owned = in_threads(owned, |mut client| {
        both.wait();
        client.write_all(b"x").map(|()| client)
    });
    until("4 bytes arrive", || Ok(unread()?.iter().sum::<usize>() == 4))?;
    let moved = unread()?;
    observe("bytes for the two clients", format!("{moved:?}"));
    prove("each got one more, from its own", moved == [1, 3])?;

    step("Two threads look for a free slot and take it. Without a lock, and with.");
    let (unlocked, slots) = (AtomicI32::new(FREE), Slots::new(2));
    let took = in_threads([7, 8], |fd| {
        let free = unlocked.load(SeqCst) == FREE;
        both.wait(); // Both have looked.
        unlocked.store(fd, SeqCst);
        free
    });
    let mut locked = in_threads(owned, |client| {
        let slot = slots.take(client?).expect("there are two");
        both.wait(); // Both have theirs.
        io::Result::Ok(slot.index)
    });
    locked.sort_by_key(|index| index.as_ref().ok().copied());
    observe("both found slot 0 free", format!("{took:?}"));
    observe("with the lock they have", format!("{locked:?}"));
    prove("without it one client is in no slot", took == [true; 2])?;
    let apart = matches!(locked[..], [Ok(0), Ok(1)]);
    prove("with it, to look and to take is one step", apart)?;

    step("One of the server's clients sends 3 bytes; before it reads them, Ctrl-C.");
    server.pause()?;
    clients[0].write_all(b"bye")?;
    until("3 bytes wait", || Ok(unread_at(&server, &clients[0])? == 3))?;
    server.signal(Signal::SIGINT)?;
    server.signal(Signal::SIGCONT)?;
    let mut rest = String::new();
    clients[0].read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("it reads to the end", &rest);
    observe("the server ends with", status);
    prove("what has arrived is answered", rest == "bye" && status.success())
}

/// What the kernel holds for the server of this client's data.
fn unread_at(server: &Server, client: &TcpStream) -> Result<usize> {
    net::unread(server.address, client.local_addr()?)
}

/// Does the work for each of these in a thread of its own, all at once.
fn in_threads<A: Send, T: Send>(
    of: impl IntoIterator<Item = A>,
    work: impl Fn(A) -> T + Sync,
) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let spawn = |a| scope.spawn(move || work(a));
        let threads: Vec<_> = of.into_iter().map(spawn).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results.map(|result| result.expect("it does not panic")).collect()
    })
}
