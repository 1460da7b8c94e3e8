//! A world of its own for one program: namespaces(7), user_namespaces(7), pivot_root(2).

use super::limits;
use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{self, Gid, Uid};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where a program can be started from.
pub struct Executable {
    pub path: PathBuf,
    /// Keeps the path valid where it names a descriptor.
    pub _open: Option<OwnedFd>,
}

/// What a program sees of the host's files, read-only.
pub const VISIBLE: [&str; 9] =
    ["bin", "etc", "gnu", "lib", "lib32", "lib64", "nix", "sbin", "usr"];
pub const DEVICES: [&str; 5] = ["full", "null", "random", "urandom", "zero"];
/// The new root is built here; any folder that every machine has would do.
const SITE: &str = "/tmp";

/// Leaves the host's namespaces; the next child is PID 1 of the new ones. User and group keep
/// their numbers, so the program sees itself as who it is.
pub fn enter() -> Result<()> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWIPC,
    )
    .context("unshare")?;
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
    write("/proc/self/gid_map", &format!("{gid} {gid} 1"))
}

/// Furnishes the new world, as its PID 1: files, /proc, devices, network, limits.
pub fn furnish(
    program: &OwnedFd,
    actor: &OwnedFd,
) -> Result<(Executable, Executable)> {
    let none = None::<&str>;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("make / private")?;
    let (own_program, own_actor) = (reopen(program), reopen(actor));
    mount(Some("root"), SITE, Some("tmpfs"), quiet, Some("size=256m,mode=755"))
        .context("mount a root")?;
    std::env::set_current_dir(SITE)?;
    for name in VISIBLE {
        show(name)?;
    }
    fs::create_dir("proc")?;
    mount(Some("proc"), "proc", Some("proc"), quiet | MsFlags::MS_NOEXEC, none)
        .context("mount /proc")?;
    fs::create_dir("dev")?;
    for name in DEVICES {
        bind(&format!("/dev/{name}"), &format!("dev/{name}"))?;
    }
    let mut executable =
        Executable { path: super::keeper::path_of(program), _open: None };
    // A copy in memory cannot be mounted; it is started by its descriptor.
    if own_program.is_some_and(|file| bind(&path_of(&file), "program").is_ok()) {
        executable.path = "/program".into();
    } else {
        executable._open = Some(program.try_clone()?);
    }
    if own_actor.is_none_or(|file| bind(&path_of(&file), "actor").is_err()) {
        // The program's children cannot get at this process's descriptors, but at a copy.
        fs::copy(path_of(actor), "actor").context("copy the actor")?;
        fs::set_permissions("actor", fs::Permissions::from_mode(0o755))?;
    }
    let actor = Executable { path: "/actor".into(), _open: None };
    fs::create_dir("tmp")?;
    symlink("/tmp", "dev/shm")?;

    unistd::pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("let go of the host's files")?;
    limit_tasks()?;
    make_read_only()?;
    let folder =
        format!("size={},nr_inodes={},mode=777", limits::DISK, limits::FILES);
    mount(Some("tmp"), "/tmp", Some("tmpfs"), quiet, Some(folder.as_str()))
        .context("mount a working folder")?;
    std::env::set_current_dir("/tmp")?;
    loopback_up()?;
    // From here on the program, which runs as the same user, cannot look into this process.
    nix::sys::prctl::set_dumpable(false)?;
    Ok((executable, actor))
}

/// Opens a file again, by its path: what was opened before this process had a mount namespace of
/// its own cannot be mounted in it.
fn reopen(file: &OwnedFd) -> Option<OwnedFd> {
    let again = fs::File::open(fs::read_link(path_of(file)).ok()?).ok()?;
    let before = fs::metadata(path_of(file)).ok()?;
    let now = again.metadata().ok()?;
    ((before.dev(), before.ino()) == (now.dev(), now.ino())).then(|| again.into())
}

fn path_of(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Makes a folder of the host visible under the same name; a symbolic link stays one.
fn show(name: &str) -> Result<()> {
    let host = format!("/{name}");
    let Ok(kind) = fs::symlink_metadata(&host) else { return Ok(()) };
    if kind.is_symlink() {
        symlink(fs::read_link(&host)?, name)?;
        return Ok(());
    }
    fs::create_dir(name)?;
    bind_to(&host, name)
}

/// Makes a file of the host visible at `place`.
fn bind(host: &str, place: &str) -> Result<()> {
    fs::write(place, "")?;
    bind_to(host, place).inspect_err(|_| {
        let _ = fs::remove_file(place);
    })
}

fn bind_to(host: &str, place: &str) -> Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(host), place, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("bind {host}"))
}

/// Since Linux 6.14 the limit belongs to the process namespace. Before, the limit per user has
/// to do, which counts within the user namespace since 5.14.
fn limit_tasks() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let _ = fs::write("/proc/sys/kernel/pid_max", limits::TASKS.to_string());
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
    let limit = limits::TASKS.min(hard);
    setrlimit(Resource::RLIMIT_NPROC, limit, limit).context("RLIMIT_NPROC")
}

/// mount_setattr(2) on the whole tree; a remount would leave the mounts below as they are.
fn make_read_only() -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: a valid path, and the address and size of a valid structure that is only read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::AT_RECURSIVE,
            &attr,
            size_of_val(&attr),
        )
    };
    nix::errno::Errno::result(result).context("mount_setattr")?;
    Ok(())
}

/// A new network namespace has a loopback interface that is down (netdevice(7)).
fn loopback_up() -> Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").context("a socket")?;
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as _, b'o' as _]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _;
    // SAFETY: SIOCSIFFLAGS reads one ifreq from the valid address it is given.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    if result != 0 {
        bail!("bring lo up: {}", std::io::Error::last_os_error());
    }
    Ok(())
}

fn write(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
