use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use rand::RngExt;

/// Where free ports are looked for: below those that Linux gives to connections and to whoever asks for any port (from 32768),
/// since one of those may be gone again before the server that it was found for is up.
const FREE: Range<u16> = 20_000..32_000;
const TRIES: usize = 500;

/// The ports that this process was given. Each is locked, so that no other process is given it either, while this one lives.
static GIVEN: Mutex<BTreeMap<u16, File>> = Mutex::new(BTreeMap::new());

/// The given port if it is free; one that is free, and given to nobody else, if none is given. `who` names the user of the port
/// in the error.
pub fn claim(wanted: Option<u16>, who: &str) -> anyhow::Result<u16> {
    match wanted {
        None => free().with_context(|| format!("no port on 127.0.0.1 for {who}")),
        Some(port) => match bind(port) {
            Ok(()) => Ok(port),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                bail!(
                    "port {port} on 127.0.0.1 is taken by another program; {who} wanted it. Stop that program, or choose another port"
                )
            }
            Err(error) => Err(error).with_context(|| format!("port {port} on 127.0.0.1 for {who}")),
        },
    }
}

fn bind(port: u16) -> std::io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

fn free() -> anyhow::Result<u16> {
    // Each user has a folder of their own: another's could not be written.
    let locks = std::env::temp_dir().join(format!("quadrille-ports-{}", nix::unistd::geteuid()));
    fs::create_dir_all(&locks).with_context(|| locks.display().to_string())?;
    for _ in 0..TRIES {
        let port = rand::rng().random_range(FREE);
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.contains_key(&port) {
            continue;
        }
        let lock = File::create(locks.join(port.to_string())).with_context(|| format!("the lock of port {port}"))?;
        if lock.try_lock().is_ok() && bind(port).is_ok() {
            given.insert(port, lock);
            return Ok(port);
        }
    }
    bail!("{TRIES} of those from {} to {} were tried, and all are taken", FREE.start, FREE.end - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_taken_port_names_the_port_and_who_wanted_it() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = claim(Some(port), "Apache Kafka").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("Apache Kafka"), "{error}");
    }

    #[test]
    fn a_port_is_given_once() {
        let given: BTreeSet<_> = (0..200).map(|_| claim(None, "a test").unwrap()).collect();
        assert_eq!(given.len(), 200);
    }

    #[test]
    fn no_connection_and_no_other_process_takes_a_port_that_was_given() {
        let port = claim(None, "a test").unwrap();
        assert!(FREE.contains(&port));
        let path = std::env::temp_dir().join(format!("quadrille-ports-{}/{port}", nix::unistd::geteuid()));
        assert!(File::open(path).unwrap().try_lock().is_err());
    }
}
