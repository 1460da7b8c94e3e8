//! Takes away all rights on its working folder and on those it makes there, so that
//! nobody may empty them.
//! Verdict: wrong: output

mod hostile;

use std::fs::{Permissions, create_dir_all, set_permissions, write};
use std::os::unix::fs::{PermissionsExt, symlink};

fn main() {
    hostile::begin();
    let _ = create_dir_all("outer/inner");
    let _ = write("outer/inner/file", "");
    let _ = symlink("/", "outer/root");
    for folder in ["outer/inner", "outer", "."] {
        let _ = set_permissions(folder, Permissions::from_mode(0o0));
    }
}
