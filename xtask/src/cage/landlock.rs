//! Landlock: what a process and all its descendants may reach, without namespaces
//! and without any right (landlock(7)). The `libc` crate has the numbers of the
//! calls and nothing else of it.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// struct landlock_ruleset_attr
#[repr(C)]
#[derive(Default)]
struct Attributes {
    /// Whatever is named here is refused, but for what rules allow.
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// struct landlock_path_beneath_attr
#[repr(C, packed)]
struct Beneath {
    allowed_access: u64,
    parent_fd: RawFd,
}

const RULE_PATH_BENEATH: u32 = 1;
const CREATE_RULESET_VERSION: u32 = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// What can be allowed for a file that is not a folder.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// No connection to an abstract Unix socket, no signal, to a process outside.
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;

/// The version from which on Landlock knows scopes: Linux 6.12.
const SCOPES: i64 = 6;

/// Whoever calls this, and its descendants, can send signals to one another only.
///
/// # Errors
/// The kernel cannot do it, or is not to use Landlock.
pub fn keep_signals_in() -> Result<()> {
    if version() < SCOPES {
        anyhow::bail!("the kernel's Landlock has no scopes");
    }
    let attributes = Attributes { scoped: SCOPE_SIGNAL, ..Attributes::default() };
    restrict(&ruleset(&attributes)?)
}

/// What a judged program may reach.
pub struct Reach {
    /// Nothing if the kernel has no Landlock.
    ruleset: Option<OwnedFd>,
    handled: u64,
}

impl Reach {
    /// No file at all yet; no process but its own.
    pub fn new() -> Result<Reach> {
        // How many kinds of access to files each version knows.
        let (handled, scoped): (u64, u64) = match version() {
            ..1 => return Ok(Reach { ruleset: None, handled: 0 }),
            1 => ((1 << 13) - 1, 0),
            2 => ((1 << 14) - 1, 0),
            3 | 4 => ((1 << 15) - 1, 0),
            5 => ((1 << 16) - 1, 0),
            SCOPES.. => ((1 << 16) - 1, SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL),
        };
        let attributes =
            Attributes { handled_access_fs: handled, handled_access_net: 0, scoped };
        Ok(Reach { ruleset: Some(ruleset(&attributes)?), handled })
    }

    pub fn read_and_execute(&self, path: &Path) -> Result<()> {
        self.allow(path, EXECUTE | READ_FILE | READ_DIR)
    }

    pub fn read_and_write(&self, path: &Path) -> Result<()> {
        self.allow(path, WRITE_FILE | READ_FILE | READ_DIR | TRUNCATE | IOCTL_DEV)
    }

    pub fn everything(&self, path: &Path) -> Result<()> {
        self.allow(path, u64::MAX)
    }

    /// A path that does not exist needs no rule.
    fn allow(&self, path: &Path, access: u64) -> Result<()> {
        let Some(ruleset) = &self.ruleset else { return Ok(()) };
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let Ok(place) = open(path, flags, Mode::empty()) else { return Ok(()) };
        let is_folder = path.is_dir();
        let possible =
            if is_folder { self.handled } else { self.handled & OF_FILES };
        match add(ruleset.as_fd(), place.as_fd(), access & possible) {
            // A file in memory is in no folder, and is not refused.
            Err(Errno::EBADFD) => Ok(()),
            result => result.with_context(|| format!("allow {}", path.display())),
        }
    }

    /// Confines the calling process for good. It must have no_new_privs (prctl(2)).
    pub fn confine(&self) -> Result<()> {
        self.ruleset.as_ref().map_or(Ok(()), restrict)
    }
}

/// The version of Landlock that the kernel has; less than 1 if none.
fn version() -> i64 {
    // SAFETY: with this flag the call reads nothing and returns a number.
    unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<Attributes>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    }
}

fn ruleset(attributes: &Attributes) -> Result<OwnedFd> {
    // An older kernel takes a longer structure if what it does not know is zero.
    // SAFETY: the address and size of a valid structure that is only read.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            attributes,
            size_of::<Attributes>(),
            0,
        )
    };
    let fd = Errno::result(fd).context("landlock_create_ruleset")?;
    // SAFETY: the new descriptor belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

fn add(ruleset: BorrowedFd, place: BorrowedFd, access: u64) -> nix::Result<()> {
    let rule = Beneath { allowed_access: access, parent_fd: place.as_raw_fd() };
    // SAFETY: two open descriptors and a valid structure that is only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &rule,
            0,
        )
    };
    Errno::result(result).map(drop)
}

fn restrict(ruleset: &OwnedFd) -> Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: an open descriptor and a number.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0)
    };
    Errno::result(result).context("landlock_restrict_self")?;
    Ok(())
}
