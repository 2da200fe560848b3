use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

/// The given port if it is free; a free one if none is given. `who` names the user of the port in the error.
pub fn claim(wanted: Option<u16>, who: &str) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted.unwrap_or(0)));
    match (listener, wanted) {
        (Ok(listener), _) => Ok(listener.local_addr().context("the port that was just bound")?.port()),
        (Err(error), Some(port)) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "port {port} on 127.0.0.1 is taken by another program; {who} wanted it. Stop that program, or choose another port"
            )
        }
        (Err(error), _) => Err(error).with_context(|| format!("no port on 127.0.0.1 for {who}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_port_and_who_wanted_it() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = claim(Some(port), "Apache Kafka").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("Apache Kafka"), "{error}");
    }

    #[test]
    fn without_a_wish_a_free_port_is_found() {
        assert_ne!(claim(None, "a test").unwrap(), 0);
    }
}
