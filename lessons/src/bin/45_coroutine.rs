//! What does `await` do here?
//!
//! An async function that cannot go on returns, and keeps its variables. Somebody
//! calls it again when it can: here an executor of eighty lines, around epoll.
//! Predict: a hundred clients are connected. How many threads, how many stacks?
//! Neighbours: 39_thread_server, 44_epoll_server, 49_arena.

use anyhow::Result;
use lessons::serve::{Role, Server, Stop, shut_reading};
use lessons::{net, observe, proc, prove, step, until};
use nix::errno::Errno;
use nix::sys::epoll::{
    Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, _) => serve(listener, &Stop::new()?),
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send, to each of them in a coroutine of its own.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    listener.set_nonblocking(true)?;
    let mut executor = Executor::new(stop, &listener)?;
    let accept = Box::pin(accept(listener, executor.spawned.clone()));
    executor.spawn(executor.listener, accept)?;
    executor.run()
}

async fn accept(listener: TcpListener, spawned: Spawned) {
    loop {
        match ready(|| listener.accept()).await {
            Ok((client, _)) if client.set_nonblocking(true).is_ok() => {
                let fd = client.as_raw_fd();
                spawned.borrow_mut().push((fd, Box::pin(echo(client))));
                pause(true).await;
            }
            // It is shut: the server stops.
            Err(e) if e.kind() == ErrorKind::InvalidInput => return,
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {}
            // No descriptor is free, for instance. Some day a client leaves.
            _ => pause(false).await,
        }
    }
}

async fn echo(mut client: TcpStream) {
    let mut buffer = [0; 16384];
    while let Ok(n @ 1..) = ready(|| client.read(&mut buffer)).await {
        let mut sent = 0;
        while sent < n {
            match ready(|| client.write(&buffer[sent..n])).await {
                Ok(more) => sent += more,
                Err(_) => return,
            }
        }
        pause(true).await;
    }
}

/// Waits until a system call does something other than say “not now”.
async fn ready<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    poll_fn(|_| match call() {
        Err(e) if e.kind() == ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    })
    .await
}

/// Lets the others go on first: who always finds something to do would never wait.
/// Without `wake`, until something happens.
async fn pause(wake: bool) {
    let mut first = true;
    poll_fn(|context| {
        if !std::mem::take(&mut first) {
            return Poll::Ready(());
        }
        if wake {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

type Coroutine = Pin<Box<dyn Future<Output = ()>>>;
/// Coroutines that are to be begun, each with the descriptor that it waits for.
type Spawned = Rc<RefCell<Vec<(RawFd, Coroutine)>>>;

/// Calls coroutines that can go on; sleeps in epoll_wait(2) while none can.
struct Executor {
    epoll: Epoll,
    /// By the descriptor that each of them owns and waits for.
    tasks: HashMap<RawFd, (Coroutine, Waker)>,
    spawned: Spawned,
    /// Those that can go on.
    ready: Queue,
    /// The one that accepts, and the descriptor of [`Stop`], which has no task.
    listener: RawFd,
    stop: RawFd,
}

/// Wakers may be called from any thread, so it has a lock. Here is only one.
type Queue = Arc<Mutex<Vec<RawFd>>>;

/// What a waker is here: a number, and the queue to put it in.
struct Ticket(RawFd, Queue);

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("nobody panics with it").push(self.0);
    }
}

impl Executor {
    fn new(stop: &Stop, listener: &TcpListener) -> Result<Executor> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let (stop_fd, listener) = (stop.as_fd().as_raw_fd(), listener.as_raw_fd());
        let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        epoll.add(stop, EpollEvent::new(once, stop_fd as u64))?;
        let (tasks, spawned, ready) = Default::default();
        Ok(Executor { epoll, tasks, spawned, ready, listener, stop: stop_fd })
    }

    fn spawn(&mut self, fd: RawFd, coroutine: Coroutine) -> Result<()> {
        let waker = Waker::from(Arc::new(Ticket(fd, self.ready.clone())));
        // Edge-triggered, for both directions, once for all: the coroutine calls
        // until the kernel says EAGAIN, and is woken when that may have changed.
        let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        // SAFETY: the coroutine owns the descriptor and lives until it has ended.
        let open = unsafe { BorrowedFd::borrow_raw(fd) };
        self.epoll.add(open, EpollEvent::new(both, fd as u64))?;
        waker.wake_by_ref();
        self.tasks.insert(fd, (coroutine, waker));
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let (mut events, mut turn) = ([EpollEvent::empty(); 64], Vec::new());
        loop {
            std::mem::swap(&mut turn, &mut *self.ready.lock().expect("as above"));
            for fd in turn.drain(..) {
                self.poll(fd);
            }
            if self.tasks.is_empty() {
                return Ok(());
            }
            let idle = self.ready.lock().expect("as above").is_empty();
            let wait = if idle { EpollTimeout::NONE } else { EpollTimeout::ZERO };
            let count = match self.epoll.wait(&mut events, wait) {
                Err(Errno::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                match event.data() as RawFd {
                    fd if fd == self.stop => self.shut(),
                    fd => self.wake(fd),
                }
            }
        }
    }

    /// Calls a coroutine, which returns at its next `await` that cannot go on.
    fn poll(&mut self, fd: RawFd) {
        let Some((coroutine, waker)) = self.tasks.get_mut(&fd) else { return };
        let mut context = Context::from_waker(waker);
        if coroutine.as_mut().poll(&mut context).is_ready() {
            // Dropping it closes its socket, and epoll forgets that.
            self.tasks.remove(&fd);
            self.wake(self.listener);
        }
        for (fd, coroutine) in self.spawned.take() {
            // For whom epoll has no room is dropped, and so closed.
            let _ = self.spawn(fd, coroutine);
        }
    }

    fn wake(&self, fd: RawFd) {
        if let Some((_, waker)) = self.tasks.get(&fd) {
            waker.wake_by_ref();
        }
    }

    /// Nothing more arrives; what has arrived is still answered.
    fn shut(&self) {
        for (&fd, (_, waker)) in &self.tasks {
            shut_reading(&fd);
            waker.wake_by_ref();
        }
    }
}

fn scene() -> Result<()> {
    lessons::open("What does `await` do here?");

    step("An async function is called by hand; what it reads is not there yet.");
    let (socket, mut peer) = UnixStream::pair()?;
    socket.set_nonblocking(true)?;
    let begun = Cell::new(0);
    let mut coroutine = Box::pin(two_bytes(&socket, &begun));
    let mut context = Context::from_waker(Waker::noop());
    let first = coroutine.as_mut().poll(&mut context);
    peer.write_all(b"a")?;
    let second = coroutine.as_mut().poll(&mut context);
    peer.write_all(b"b")?;
    let third = coroutine.as_mut().poll(&mut context);
    let results = format!("{first:?}, {second:?}, {third:?}");
    observe("nothing, one byte, the other", results);
    observe("its body was begun", format!("{} time", begun.get()));
    observe("it takes", format!("{} bytes", size_of_val(&*coroutine)));
    prove("it returns at an await that cannot go on", first.is_pending())?;
    prove("and goes on there when it is called again", begun.get() == 1)?;
    prove("its variables were kept in between", third == Poll::Ready(*b"ab"))?;

    step("The echo service: a hundred clients, the last one speaks first.");
    let server = Server::start(&[])?;
    let connect = |_| TcpStream::connect(server.address);
    let mut clients = (0..100).map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut answered = 0;
    for (number, client) in clients.iter_mut().enumerate().rev() {
        let (question, mut answer) = ([number as u8; 1000], [0; 1000]);
        client.write_all(&question)?;
        client.read_exact(&mut answer)?;
        answered += usize::from(question == answer);
    }
    let threads = proc::threads(server.pid())?;
    until("the server sleeps", || server.waits_in(proc::EPOLL_WAIT))?;
    observe("clients answered", answered);
    observe("threads of the server", format!("{threads}, in epoll_wait(2)"));
    prove("all are served by one thread", (answered, threads) == (100, 1))?;

    step("A client sends as much as goes in and reads nothing. Another one asks.");
    let mut flood = clients.remove(0);
    flood.set_nonblocking(true)?;
    let before = proc::resident(server.pid())?;
    let (mut sent, mut unread, mut last_look) = (0, 0, None);
    until("the server leaves unread what it could not answer", || {
        while let Ok(n) = flood.write(&[7; 65536]) {
            sent += n as u64;
        }
        unread = net::unread(server.address, flood.local_addr()?)?;
        let asleep = server.waits_in(proc::EPOLL_WAIT)?;
        let look = (sent, unread, proc::switches(server.pid(), server.pid())?);
        Ok(last_look.replace(look) == Some(look) && asleep && unread > 0)
    })?;
    let mut answer = [0; 6];
    clients[0].write_all(b"and I?")?;
    clients[0].read_exact(&mut answer)?;
    let grown = proc::resident(server.pid())?.0.saturating_sub(before.0);
    observe("the first could send", format!("{} KiB", sent >> 10));
    observe("the server has not read", format!("{} KiB of it", unread >> 10));
    observe("its memory grew by", format!("{} KiB", grown >> 10));
    observe("the other one reads", String::from_utf8_lossy(&answer));
    prove("a coroutine that cannot write holds up nobody", answer == *b"and I?")?;
    prove("it has one buffer, and reads no more", unread > 0 && grown < sent)?;
    drop(flood);

    step("One sends 3 bytes; before the server reads them comes Ctrl-C.");
    server.interrupt_after(&clients[0], "bye")?;
    let mut rest = String::new();
    clients[0].read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("it reads to the end", &rest);
    observe("the server ends with", status);
    let answered = rest == "bye" && status.success();
    prove("each coroutine answers what has arrived; then all end", answered)
}

/// What a socket says first, two bytes.
async fn two_bytes(mut socket: &UnixStream, begun: &Cell<u32>) -> [u8; 2] {
    begun.set(begun.get() + 1);
    let mut bytes = [0; 2];
    for byte in &mut bytes {
        ready(|| socket.read_exact(std::slice::from_mut(byte)))
            .await
            .expect("a byte");
    }
    bytes
}
