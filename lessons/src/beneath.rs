//! Opening files by names that strangers send: those below one folder, and no other.
//!
//! To look at the name for `..` is not enough, because a link below the folder may lead out of it,
//! and to look at each link first is too early, because it may be another one when it is opened.
//! The kernel does both in one step: RESOLVE_BENEATH of openat2(2), since Linux 5.6.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Opens a regular file or a folder below `folder` for reading. Links are followed if they stay below
/// it; where the kernel has no openat2, or a sandbox forbids it, none is.
///
/// # Errors
/// Those of openat2(2); among them EXDEV and ELOOP for a name that leads out. `NotFound` for what is
/// neither.
pub fn open(folder: &File, name: &Path) -> Result<File> {
    // O_NONBLOCK: to open a FIFO would wait for its writer.
    let flags =
        OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let mut opened = openat2(folder, name, how);
    // The kernel asks to try again if somebody renamed something while it followed a `..`.
    for _ in 0..100 {
        if matches!(opened, Err(Errno::EAGAIN)) {
            opened = openat2(folder, name, how);
        }
    }
    let file = match opened {
        Err(Errno::ENOSYS | Errno::EPERM) => step_by_step(folder, name, flags),
        opened => opened,
    };
    let file = File::from(file?);
    let kind = file.metadata()?.file_type();
    match kind.is_file() || kind.is_dir() {
        true => Ok(file),
        false => Err(ErrorKind::NotFound.into()),
    }
}

/// What [`open`] opens in a folder, in order: names and what is known of the files. Nothing hidden.
///
/// # Errors
/// Those of reading the folder.
pub fn list(folder: &File) -> Result<Vec<(OsString, Metadata)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))?
    {
        let entry = entry?;
        let name = entry.file_name();
        // Others are not even opened: that may have an effect on a device. One may have vanished.
        let kind = entry.file_type();
        if name.as_bytes().starts_with(b".")
            || !kind.is_ok_and(|kind| {
                kind.is_file() || kind.is_dir() || kind.is_symlink()
            })
        {
            continue;
        }
        if let Ok(data) =
            open(folder, Path::new(&name)).and_then(|file| file.metadata())
        {
            all.push((name, data));
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

/// One component after the other, none of which may be a link.
fn step_by_step(
    folder: &File,
    name: &Path,
    flags: OFlag,
) -> std::result::Result<OwnedFd, Errno> {
    let none = Mode::empty();
    let way =
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mut components = name.components();
    let last = components.next_back();
    let mut place: Option<OwnedFd> = None;
    let next = |place: &Option<OwnedFd>, component, flags| match (component, place) {
        (Component::Normal(name), Some(place)) => openat(place, name, flags, none),
        (Component::Normal(name), None) => openat(folder, name, flags, none),
        _ => Err(Errno::EXDEV),
    };
    for component in components {
        place = Some(next(&place, component, way)?);
    }
    match last {
        Some(last) => next(&place, last, flags | OFlag::O_NOFOLLOW),
        None => Err(Errno::ENOENT),
    }
}

/// Opens a folder itself.
///
/// # Errors
/// Those of open(2).
pub fn folder(path: &Path) -> Result<File> {
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Ok(file),
        false => Err(Error::from(ErrorKind::NotADirectory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_leads_out_is_not_opened_with_or_without_openat2() {
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("beneath-XXXXXX"))
            .unwrap();
        let inside = top.join("inside");
        std::fs::create_dir_all(inside.join("deeper")).unwrap();
        std::fs::write(inside.join("deeper/file"), "").unwrap();
        std::fs::write(top.join("secret"), "").unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        symlink("../..", inside.join("deeper/up")).unwrap();
        let folder = folder(&inside).unwrap();
        let flags = OFlag::O_RDONLY;
        let both = |name: &str| {
            let name = Path::new(name);
            (open(&folder, name).is_ok(), step_by_step(&folder, name, flags).is_ok())
        };
        assert_eq!(both("deeper/file"), (true, true));
        for name in
            ["link", "../secret", "deeper/up/secret", "/etc/passwd", "none", ""]
        {
            assert_eq!(both(name), (false, false), "{name}");
        }
        assert_eq!(both("deeper"), (true, true));
        nix::unistd::mkfifo(&inside.join("fifo"), Mode::S_IRWXU).unwrap();
        assert!(open(&folder, Path::new("fifo")).is_err());
        symlink("deeper/../deeper/file", inside.join("kept")).unwrap();
        std::fs::write(inside.join(".hidden"), "").unwrap();
        let with_openat2 = open(&folder, Path::new("kept")).is_ok();
        let names: Vec<_> =
            list(&folder).unwrap().into_iter().map(|l| l.0).collect();
        assert_eq!(
            names,
            if with_openat2 { &["deeper", "kept"][..] } else { &["deeper"] }
        );
        std::fs::remove_dir_all(top).unwrap();
    }
}
