//! A connection on loopback that can be held, as a network that passes nothing on, cut, and made slow.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Carries connections to a port of 127.0.0.1. Dropping it closes them all.
#[derive(Debug)]
pub struct Link {
    port: u16,
    state: Arc<watch::Sender<State>>,
    _carrying: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    is_held: bool,
    /// What each piece waits before it is passed on.
    delay: Duration,
    /// How often everything was cut.
    cuts: u64,
}

impl Link {
    /// Begins to carry, on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port for a link")?;
        let (own, state) = (listener.local_addr()?.port(), Arc::new(watch::Sender::new(State::default())));
        let mut carrying = JoinSet::new();
        carrying.spawn(carry(listener, port, Arc::clone(&state)));
        Ok(Self { port: own, state, _carrying: carrying })
    }

    /// Where it takes connections.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Passes nothing on until it is released. Connections stay open, as they do when a network fails.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.is_held = true);
    }

    /// Passes on again, also what came in between.
    pub fn release(&self) {
        self.state.send_modify(|state| state.is_held = false);
    }

    /// Each piece waits so long before it is passed on; [`Duration::ZERO`] ends that.
    pub fn slow(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Closes every connection. New ones are taken at once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

async fn carry(listener: TcpListener, port: u16, state: Arc<watch::Sender<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        connections.spawn(pass(near_in, far_out, state.subscribe()));
        connections.spawn(pass(far_in, near_out, state.subscribe()));
        while connections.try_join_next().is_some() {}
    }
}

/// Passes on until one side closes, or everything is cut.
async fn pass(from: OwnedReadHalf, to: OwnedWriteHalf, state: watch::Receiver<State>) {
    let cuts = state.borrow().cuts;
    let mut watched = state.clone();
    tokio::select! {
        () = pieces(from, to, state) => {}
        _ = watched.wait_for(|state| state.cuts > cuts) => {}
    }
}

async fn pieces(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let Ok(delay) = state.wait_for(|state| !state.is_held).await.map(|state| state.delay) else { return };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    if state.wait_for(|state| !state.is_held).await.is_ok() {
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

    #[tokio::test]
    async fn what_is_cut_is_closed_on_both_sides_and_a_new_connection_is_taken() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = Link::to(listener.local_addr().unwrap().port()).await.unwrap();
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(b"a").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'a');
        link.cut();
        assert!(near.read_u8().await.is_err() && far.read_u8().await.is_err());
        link.slow(Duration::from_millis(1));
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(b"c").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'c');
    }
}
