use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use rand::RngExt;

/// Where free ports are looked for: below those that Linux gives to connections and to whoever asks for any port (from 32768),
/// since one of those may be gone again before the server that it was found for is up.
const FREE: Range<u16> = 20_000..32_000;
const TRIES: usize = 500;

/// The ports that this process was given, held over UDP, which no server here speaks: so neither this process nor another is
/// given one of them again while this one lives.
static GIVEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

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
    for _ in 0..TRIES {
        let port = rand::rng().random_range(FREE);
        let Ok(held) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if bind(port).is_ok() {
            GIVEN.lock().unwrap_or_else(PoisonError::into_inner).push(held);
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
        assert!(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
