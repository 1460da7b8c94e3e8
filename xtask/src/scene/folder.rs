//! The files that a program shows to others, and how it wrote them.

use super::{Scene, Stop, unavailable};
use anyhow::Result;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::path::Path;

/// The entries of a folder by name, hidden ones too. Of a file the content, of a link where it
/// leads, of another folder its entries.
pub type Entries = BTreeMap<String, Vec<u8>>;

/// Notes what is written below one folder (inotify(7)): also what lasts too short a time to be
/// seen by looking.
pub struct Watch(File);

impl Scene {
    /// What is in a folder of the working folder.
    pub fn entries(&self, folder: &str) -> Result<Entries, Stop> {
        entries(Path::new(folder)).map_err(unavailable)
    }

    /// Watches a folder of the working folder from now on.
    pub fn watch(&self, folder: &str) -> Result<Watch, Stop> {
        Watch::new(folder).map_err(unavailable)
    }
}

fn entries(folder: &Path) -> Result<Entries> {
    let mut all = Entries::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // One may go while it is looked at; then it is not there.
        let Ok(kind) = entry.file_type() else { continue };
        let what = if kind.is_symlink() {
            fs::read_link(entry.path())
                .map(|to| to.into_os_string().into_encoded_bytes())
        } else if kind.is_dir() {
            Ok(format!("{:?}", entries(&entry.path())?).into_bytes())
        } else if kind.is_file() {
            fs::read(entry.path())
        } else {
            Ok(Vec::new())
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        all.extend(what.ok().map(|what| (name, what)));
    }
    Ok(all)
}

impl Watch {
    fn new(folder: &str) -> Result<Watch> {
        let folder = CString::new(folder)?;
        // SAFETY: the call returns a new descriptor that belongs to nobody else.
        let queue = unsafe {
            let flags = libc::IN_NONBLOCK | libc::IN_CLOEXEC;
            File::from_raw_fd(Errno::result(libc::inotify_init1(flags))?)
        };
        let fd = std::os::fd::AsRawFd::as_raw_fd(&queue);
        // SAFETY: the path is a string with a zero at its end.
        let watch =
            unsafe { libc::inotify_add_watch(fd, folder.as_ptr(), libc::IN_MODIFY) };
        Errno::result(watch)?;
        Ok(Watch(queue))
    }

    /// The names of the files there whose content has been changed since the last question, by a
    /// write or because it was cut. One that was only renamed is not among them.
    pub fn written(&mut self) -> Vec<String> {
        // struct inotify_event: watch, mask, cookie, length of the name, which zeros fill up.
        const HEAD: usize = size_of::<libc::inotify_event>();
        let (mut names, mut buffer) = (Vec::new(), [0; 65536]);
        while let Ok(n @ 1..) = self.0.read(&mut buffer) {
            let mut events = &buffer[..n];
            while let Some((head, rest)) = events.split_at_checked(HEAD) {
                let length =
                    u32::from_ne_bytes([head[12], head[13], head[14], head[15]]);
                let (name, next) = rest.split_at(length as usize);
                let end = name.iter().position(|&byte| byte == 0);
                let name =
                    String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]);
                names.push(name.into_owned());
                events = next;
            }
        }
        names
    }
}
