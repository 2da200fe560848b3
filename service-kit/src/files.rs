//! The limit on a process's open files, which include its connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit on open files to the most that the process may have, because the initial limit (often 1,024) is
/// too low for many connections. Returns the new limit.
///
/// # Errors
/// Fails if the system refuses to read or set the limit.
pub fn take_all() -> std::io::Result<u64> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(most)
}
