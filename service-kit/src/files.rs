//! How many files and connections a process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Takes as many open files as the process may have: what it is given at first (often 1,024) is less, and each connection
/// is one. Says how many there may be now.
///
/// # Errors
/// The system's.
pub fn take_all() -> std::io::Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}
