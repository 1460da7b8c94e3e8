//! Waiting for a state of the kernel that no call waits for.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Far longer than any of the awaited states takes, on a loaded machine too.
const DEADLINE: Duration = Duration::from_secs(20);

/// Looks again and again until `reached` says true.
///
/// # Errors
/// What `reached` fails with; or, after 20 seconds, that `what` did not come about.
pub fn until(what: &str, mut reached: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !reached()? {
        if start.elapsed() > DEADLINE {
            bail!("waited {} s in vain until {what}", DEADLINE.as_secs());
        }
        // Not a wait of a guessed length, only a breath between two looks.
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
