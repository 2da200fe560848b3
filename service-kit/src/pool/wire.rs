//! Reads a connection's state from the bytes between this program and PostgreSQL: whether a request is unanswered,
//! whether a transaction is open, whether the server takes writes. It costs no round trip and misses no statement.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The longest message whose body is looked at.
const LONGEST: usize = 64 * 1024;
/// The SQLSTATE of a write that was refused because the transaction or the server is read-only.
const READ_ONLY: &[u8] = b"25006";

pub(crate) struct Wire {
    state: Mutex<State>,
    answered: Notify,
}

struct State {
    /// The unanswered requests, oldest first. False marks a request that only closes a prepared statement: nobody
    /// waits for its answer.
    open: VecDeque<bool>,
    in_transaction: bool,
    in_hot_standby: bool,
    default_read_only: bool,
    write_refused: bool,
    ended: bool,
    /// When the last byte was received, or a request was sent while none was open.
    heard: Instant,
    backend: i32,
    sending: Framer,
    receiving: Framer,
    /// Whether something other than a close of a prepared statement was sent since the last `Sync`.
    awaited: bool,
    traffic: Traffic,
}

/// What a connection was asked since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Statements that were executed, `begin` and `commit` included.
    pub statements: u64,
    /// How often an answer was waited for: statements that were sent before the answer to the first of them count once.
    pub round_trips: u64,
}

impl Wire {
    pub fn new() -> Self {
        let state = State {
            open: VecDeque::new(),
            in_transaction: false,
            in_hot_standby: false,
            default_read_only: false,
            write_refused: false,
            ended: false,
            heard: Instant::now(),
            backend: 0,
            sending: Framer::new(true, |_| false),
            receiving: Framer::new(false, |tag| matches!(tag, b'Z' | b'E' | b'S' | b'K')),
            awaited: false,
            traffic: Traffic::default(),
        };
        Self { state: Mutex::new(state), answered: Notify::new() }
    }

    pub fn backend(&self) -> i32 {
        self.state().backend
    }

    /// What was asked so far.
    pub fn traffic(&self) -> Traffic {
        self.state().traffic
    }

    /// Why the connection must not be reused, if it must not.
    pub fn unfit(&self) -> Option<&'static str> {
        let state = self.state();
        match () {
            () if state.ended => Some("it has ended"),
            () if state.write_refused || state.in_hot_standby || state.default_read_only => {
                Some("the server takes no writes")
            }
            () if state.in_transaction => Some("a transaction is open"),
            () => None,
        }
    }

    /// Whether a request that somebody waits for is unanswered.
    pub fn is_busy(&self) -> bool {
        self.state().open.contains(&true)
    }

    fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Waits until no request is in flight, or the connection has ended.
    pub async fn settled(&self) {
        loop {
            let answered = self.answered.notified();
            if self.has_ended() || !self.is_busy() {
                return;
            }
            answered.await;
        }
    }

    /// How long the server has been silent; none if no request is open.
    pub fn silence(&self) -> Option<Duration> {
        let state = self.state();
        (!state.open.is_empty()).then(|| state.heard.elapsed())
    }

    /// Restarts the silence: the server was found alive in another way.
    pub fn excuse(&self) {
        self.state().heard = Instant::now();
    }

    pub fn end(&self) {
        self.state().ended = true;
        self.answered.notify_waiters();
    }

    pub fn sent(&self, bytes: &[u8]) {
        let state = &mut *self.state();
        let (open, awaited, idle) = (&mut state.open, &mut state.awaited, &mut state.heard);
        let traffic = &mut state.traffic;
        state.sending.feed(bytes, |tag, _| {
            traffic.statements += u64::from(matches!(tag, b'Q' | b'E'));
            let request = match tag {
                STARTUP | b'Q' => true,
                b'S' => std::mem::take(awaited),
                b'C' | b'X' => return,
                _ => {
                    *awaited = true;
                    return;
                }
            };
            if open.is_empty() {
                *idle = Instant::now();
            }
            traffic.round_trips += u64::from(request && !open.contains(&true));
            open.push_back(request);
        });
    }

    pub fn received(&self, bytes: &[u8]) {
        let state = &mut *self.state();
        state.heard = Instant::now();
        let mut answered = false;
        let (open, in_transaction) = (&mut state.open, &mut state.in_transaction);
        let (standby, read_only) = (&mut state.in_hot_standby, &mut state.default_read_only);
        let (refused, backend) = (&mut state.write_refused, &mut state.backend);
        state.receiving.feed(bytes, |tag, body| match tag {
            b'Z' => {
                open.pop_front();
                *in_transaction = body.first() != Some(&b'I');
                answered = true;
            }
            b'E' => *refused |= body.split(|byte| *byte == 0).any(|field| field.strip_prefix(b"C") == Some(READ_ONLY)),
            b'S' => {
                let mut parts = body.split(|byte| *byte == 0);
                let (name, on) = (parts.next(), parts.next() == Some(b"on"));
                match name {
                    Some(b"in_hot_standby") => *standby = on,
                    Some(b"default_transaction_read_only") => *read_only = on,
                    _ => {}
                }
            }
            b'K' => {
                if let Some(process) = body.first_chunk() {
                    *backend = i32::from_be_bytes(*process);
                }
            }
            _ => {}
        });
        if answered {
            self.answered.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands in for the tag of a client's first message, which has none.
const STARTUP: u8 = 0;

/// Cuts a stream of bytes into PostgreSQL's messages: tag, length, body.
struct Framer {
    head: Vec<u8>,
    head_length: usize,
    left: usize,
    body: Vec<u8>,
    wanted: fn(u8) -> bool,
}

impl Framer {
    const fn new(starts_untagged: bool, wanted: fn(u8) -> bool) -> Self {
        let head_length = if starts_untagged { 4 } else { 5 };
        Self { head: Vec::new(), head_length, left: 0, body: Vec::new(), wanted }
    }

    /// Calls `each` with the tag of every message that ends in these bytes; the body is passed only for wanted tags.
    fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8, &[u8])) {
        while !bytes.is_empty() {
            if self.head.len() < self.head_length {
                let (taken, rest) = bytes.split_at(bytes.len().min(self.head_length - self.head.len()));
                self.head.extend_from_slice(taken);
                bytes = rest;
                let Some(length) = self.head.get(self.head_length - 4..).and_then(<[u8]>::first_chunk) else {
                    continue;
                };
                self.left = (u32::from_be_bytes(*length) as usize).saturating_sub(4);
            }
            let tag = if self.head_length == 5 { self.head.first().copied().unwrap_or(STARTUP) } else { STARTUP };
            let (taken, rest) = bytes.split_at(bytes.len().min(self.left));
            if (self.wanted)(tag) && self.body.len() + taken.len() <= LONGEST {
                self.body.extend_from_slice(taken);
            }
            self.left -= taken.len();
            bytes = rest;
            if self.left == 0 {
                each(tag, &self.body);
                self.head.clear();
                self.body.clear();
                self.head_length = 5;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag][..], &length, body].concat()
    }

    fn started() -> Wire {
        let wire = Wire::new();
        wire.sent(&message(STARTUP, b"user\0shop\0\0")[1..]);
        wire.received(&message(b'K', &[0, 0, 1, 2, 9, 9, 9, 9]));
        wire.received(&message(b'Z', b"I"));
        wire
    }

    #[test]
    fn a_request_is_open_until_it_is_answered_however_the_bytes_are_cut() {
        let request = [message(b'B', b"bind"), message(b'E', b"execute"), message(b'S', b"")].concat();
        let answer = [message(b'2', b""), message(b'D', b"row"), message(b'Z', b"T")].concat();
        for cut in 1..request.len().max(answer.len()) {
            let wire = started();
            assert_eq!(wire.backend(), 258);
            assert!(!wire.is_busy() && wire.unfit().is_none());
            request.chunks(cut).for_each(|part| wire.sent(part));
            assert!(wire.is_busy() && wire.silence().is_some());
            answer.chunks(cut).for_each(|part| wire.received(part));
            assert!(!wire.is_busy() && wire.silence().is_none());
            assert_eq!(wire.unfit(), Some("a transaction is open"));
        }
    }

    #[test]
    fn closing_a_prepared_statement_is_nothing_that_anybody_waits_for() {
        let wire = started();
        wire.sent(&[message(b'C', b"Ss1\0"), message(b'S', b"")].concat());
        assert!(!wire.is_busy() && wire.silence().is_some());
        wire.sent(&message(b'Q', b"select 1\0"));
        assert!(wire.is_busy());
        wire.received(&message(b'Z', b"I"));
        assert!(wire.is_busy());
        wire.received(&message(b'Z', b"I"));
        assert!(!wire.is_busy());
    }

    #[test]
    fn a_server_that_takes_no_writes_tells() {
        for told in [
            message(b'S', b"in_hot_standby\0on\0"),
            message(b'S', b"default_transaction_read_only\0on\0"),
            message(b'E', b"SERROR\0C25006\0Mcannot execute UPDATE in a read-only transaction\0\0"),
        ] {
            let wire = started();
            wire.received(&told);
            assert_eq!(wire.unfit(), Some("the server takes no writes"));
        }
        let wire = started();
        wire.received(&message(b'S', b"in_hot_standby\0on\0"));
        wire.received(&message(b'S', b"in_hot_standby\0off\0"));
        wire.received(&message(b'E', b"SERROR\0C23505\0M25006\0\0"));
        assert_eq!(wire.unfit(), None);
    }
}
