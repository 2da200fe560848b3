//! A connection on loopback that can be held, as a network that passes nothing on.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries connections to a port of 127.0.0.1. Dropping it closes them all.
#[derive(Debug)]
pub struct Link {
    port: u16,
    open: Arc<watch::Sender<bool>>,
    _carrying: JoinSet<()>,
}

impl Link {
    /// Begins to carry, on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port for a link")?;
        let (own, open) = (listener.local_addr()?.port(), Arc::new(watch::Sender::new(true)));
        let mut carrying = JoinSet::new();
        carrying.spawn(carry(listener, port, Arc::clone(&open)));
        Ok(Self { port: own, open, _carrying: carrying })
    }

    /// Where it takes connections.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Passes nothing on until it is released. Connections stay open, as they do when a network fails.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    /// Passes on again, also what came in between.
    pub fn release(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(listener: TcpListener, port: u16, open: Arc<watch::Sender<bool>>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        connections.spawn(pass(near_in, far_out, open.subscribe()));
        connections.spawn(pass(far_in, near_out, open.subscribe()));
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    if open.wait_for(|open| *open).await.is_ok() {
        to.shutdown().await.ok(); // the other side may be gone already
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_while_a_link_is_held_arrives_once_it_is_released() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = Link::to(listener.local_addr().unwrap().port()).await.unwrap();
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(b"a").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'a');
        link.hold();
        near.write_all(b"b").await.unwrap();
        let early = tokio::time::timeout(std::time::Duration::from_millis(50), far.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        link.release();
        assert_eq!(far.read_u8().await.unwrap(), b'b');
    }
}
