//! A load on an echo server: clients that each send 64 bytes, wait for the echo, and send again. One
//! thread moves them all along, with epoll(7), so that thousands cost no more than what they send.

use crate::net;
use crate::serve::Server;
use anyhow::Result;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What each client sends and gets back: bytes that nobody says by chance.
const QUESTION: &[u8; 64] =
    b"sixty-four bytes that come back as they went, or it was no echo.";

/// So many, at most, have connected and not been answered yet.
const AT_ONCE: usize = 64;
/// Between two looks at a server that does not answer.
const LOOK: Duration = Duration::from_millis(20);
/// So long may it take until all clients have been answered once.
const PATIENCE: Duration = Duration::from_secs(20);

/// All clients of one server.
pub struct Load {
    server: SocketAddr,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    clients: Vec<Client>,
    /// How many of them wait for the server.
    waiting: usize,
}

struct Client {
    stream: TcpStream,
    doing: Doing,
    answered: bool,
}

enum Doing {
    Connecting,
    /// Has asked, then; so many bytes of the answer have come.
    Waiting(Instant, usize),
    /// Has its answer.
    Resting,
    /// The server has closed the connection, or said something else.
    Gone,
}

impl Load {
    /// No client yet.
    ///
    /// # Errors
    /// Those of epoll_create(2).
    pub fn new(server: SocketAddr) -> Result<Load> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let events = vec![EpollEvent::empty(); 256];
        Ok(Load { server, epoll, events, clients: Vec::new(), waiting: 0 })
    }

    /// Connects so many, and has each of them answered once. Returns why not, if the server answers
    /// some of them only, or this machine has no more of something.
    ///
    /// # Errors
    /// A system call fails that must not.
    pub fn connect(
        &mut self,
        number: usize,
        server: &mut Server,
    ) -> Result<Option<String>> {
        let (start, mut earlier) = (Instant::now(), None);
        let sleeps = loop {
            while self.waiting < AT_ONCE && self.clients.len() < number {
                if let Err(e) = self.add() {
                    return Ok(Some(format!("this machine has no more: {e}")));
                }
            }
            if self.waiting == 0 || server.ended()?.is_some() {
                break false;
            }
            if start.elapsed() > PATIENCE {
                return Ok(Some(format!("{} s are over", PATIENCE.as_secs())));
            }
            if self.turn(LOOK, |_| false)? {
                earlier = None;
                continue;
            }
            // Asleep at both looks and never awake in between, while the questions
            // lie there. A task that ends meanwhile cannot be looked at.
            let look = server.asleep().unwrap_or_default();
            if look.is_some() && look == earlier && self.all_unread()? {
                break true;
            }
            earlier = look;
        };
        let gone = self.clients.iter().filter(|c| matches!(c.doing, Doing::Gone));
        Ok(match (sleeps, gone.count()) {
            (true, _) => Some("the others wait, and it sleeps".to_owned()),
            (false, 0) => None,
            (false, gone) => Some(format!("it sent {gone} away")),
        })
    }

    fn add(&mut self) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Ended by a reset, none of these connections stays behind in TIME-WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.connect(&self.server.into()) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => return Err(e),
            _ => {}
        }
        let stream = TcpStream::from(socket);
        let number = self.clients.len() as u64;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLOUT, number))?;
        self.clients.push(Client {
            stream,
            doing: Doing::Connecting,
            answered: false,
        });
        self.waiting += 1;
        Ok(())
    }

    /// Whether all that wait have asked, and the kernel holds their questions for the
    /// server. Then nothing is on its way any more, in neither direction.
    fn all_unread(&self) -> Result<bool> {
        let ends = net::tcp()?.into_iter().filter(|end| end.local == self.server);
        let unread: HashMap<SocketAddr, usize> =
            ends.map(|end| (end.remote, end.unread)).collect();
        for client in &self.clients {
            let lies_there = match client.doing {
                Doing::Connecting => false,
                Doing::Waiting(..) => {
                    let address = client.stream.local_addr()?;
                    unread.get(&address) == Some(&QUESTION.len())
                }
                Doing::Resting | Doing::Gone => true,
            };
            if !lies_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many have been answered at least once.
    pub fn answered(&self) -> usize {
        self.clients.iter().filter(|client| client.answered).count()
    }

    /// Has all that were answered ask again and again for so long; how long each answer took.
    ///
    /// # Errors
    /// A system call fails that must not.
    pub fn measure(&mut self, time: Duration) -> Result<Vec<Duration>> {
        for client in &mut self.clients {
            if matches!(client.doing, Doing::Resting) {
                client.ask()?;
                self.waiting += 1;
            }
        }
        let (start, mut took) = (Instant::now(), Vec::new());
        // One answer at least, if any comes.
        let least = |took: &Vec<_>| if took.is_empty() { PATIENCE } else { time };
        while self.waiting > 0 && start.elapsed() < least(&took) {
            self.turn(LOOK, |answer| {
                took.push(answer);
                true
            })?;
        }
        Ok(took)
    }

    /// Deals with what has come within `limit`; false if nothing has. `next` hears how
    /// long each answer took and says whether its client asks again.
    fn turn(
        &mut self,
        limit: Duration,
        mut next: impl FnMut(Duration) -> bool,
    ) -> Result<bool> {
        let timeout = u16::try_from(limit.as_millis()).unwrap_or(u16::MAX);
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        for event in &self.events[..count] {
            let client = &mut self.clients[event.data() as usize];
            let waited = !matches!(client.doing, Doing::Resting | Doing::Gone);
            let asked = match client.doing {
                Doing::Waiting(asked, _) => Some(asked),
                _ => None,
            };
            match client.doing {
                Doing::Connecting => {
                    let mut readable =
                        EpollEvent::new(EpollFlags::EPOLLIN, event.data());
                    self.epoll.modify(&client.stream, &mut readable)?;
                    client.ask()?;
                }
                Doing::Waiting(asked, come) => client.hear(asked, come)?,
                // Nobody asked: it is the end.
                Doing::Resting | Doing::Gone => client.doing = Doing::Gone,
            }
            if let (Doing::Resting, Some(asked)) = (&client.doing, asked) {
                client.answered = true;
                match next(asked.elapsed()) {
                    true => client.ask()?,
                    false => self.waiting -= 1,
                }
            }
            if matches!(client.doing, Doing::Gone) {
                self.waiting -= usize::from(waited);
                self.epoll.delete(&client.stream)?;
            }
        }
        Ok(count > 0)
    }
}

impl Client {
    fn ask(&mut self) -> io::Result<()> {
        self.doing = Doing::Waiting(Instant::now(), 0);
        match self.stream.write(QUESTION) {
            Ok(n) if n == QUESTION.len() => {}
            Ok(n) => return Err(io::Error::other(format!("{n} bytes were sent"))),
            Err(e) if is_end(e.kind()) => self.doing = Doing::Gone,
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Reads what is there of the answer.
    fn hear(&mut self, asked: Instant, come: usize) -> io::Result<()> {
        let mut buffer = [0; QUESTION.len()];
        let wanted = QUESTION.len() - come;
        self.doing = match self.stream.read(&mut buffer[..wanted]) {
            Ok(n @ 1..) if buffer[..n] == QUESTION[come..come + n] => match n {
                n if n == wanted => Doing::Resting,
                n => Doing::Waiting(asked, come + n),
            },
            // The end, or what a full server says before it.
            Ok(_) => Doing::Gone,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                Doing::Waiting(asked, come)
            }
            Err(e) if is_end(e.kind()) => Doing::Gone,
            Err(e) => return Err(e),
        };
        Ok(())
    }
}

fn is_end(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
    matches!(kind, ConnectionReset | BrokenPipe | ConnectionRefused)
}
