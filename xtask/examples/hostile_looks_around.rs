//! Looks for what is outside of its sandbox: the test adds lines to the end of its
//! executable that name files, a port and sockets of the host. What the judge's caller
//! has done to signals and to the mask for new files would be seen, too.
//! Verdict: wrong: output

mod hostile;

use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

fn main() {
    hostile::begin();
    let executable = std::fs::read("/proc/self/exe").unwrap_or_default();
    let text = String::from_utf8_lossy(&executable);
    let lines = text.rsplit_once("LOOK FOR\n").map_or("", |(_, lines)| lines);
    for line in lines.lines() {
        if let Some((kind, what)) = line.split_once(' ')
            && finds(kind, what)
        {
            println!("found {kind}");
        }
    }
    println!("that is all");
}

fn finds(kind: &str, what: &str) -> bool {
    match kind {
        "file" => std::fs::read(what).is_ok(),
        "folder" => std::fs::read_dir(what).is_ok(),
        "port" => TcpStream::connect(format!("127.0.0.1:{what}")).is_ok(),
        "socket" => UnixStream::connect(what).is_ok(),
        "abstract" => SocketAddr::from_abstract_name(what)
            .is_ok_and(|address| UnixStream::connect_addr(&address).is_ok()),
        "process" => std::fs::exists(format!("/proc/{what}")).unwrap_or(false),
        // What the judge's caller ignores or blocks. Rust ignores SIGPIPE by itself; 32 and 33
        // belong to the C library, whose posix_spawn ignores them for the child.
        "signals" => {
            let own =
                [13, 32, 33].map(|number| 1 << (number - 1)).iter().sum::<u64>();
            let set = u64::from_str_radix(&status(what), 16);
            set.unwrap_or(u64::MAX) & !own != 0
        }
        "umask" => status("Umask") != what,
        _ => false,
    }
}

fn status(name: &str) -> String {
    lessons::proc::status_field("/proc/self/status", name).unwrap_or_default()
}
