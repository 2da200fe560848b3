//! A way to a Kafka broker on which one produce request goes wrong, as it may right after its topic was made.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::spawn;
use std::time::Duration;

/// How long the request that goes wrong is held, so that the client may send another meanwhile.
const COMPANY: Duration = Duration::from_millis(500);
const PRODUCE: [u8; 2] = [0, 0];
const DUPLICATE_SEQUENCE_NUMBER: i16 = 46;

/// What the client is told of the request that goes wrong. In each case the broker writes nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The broker's own answer: it doesn't know the topic.
    UnknownTopic,
    /// That the broker has it already, at no offset.
    Duplicate,
}

struct Way {
    broker: u16,
    own: u16,
    topic: String,
    /// A topic that the broker doesn't have, with a name as long.
    wrong: String,
    nth: usize,
    told: Told,
    produced: AtomicUsize,
    /// Answers in which the client was told so.
    answered: AtomicUsize,
}

/// A way to the broker on which one request goes wrong.
pub struct SpoiledWay {
    /// Where a client reaches the broker on it.
    pub address: String,
    way: Arc<Way>,
}

impl SpoiledWay {
    /// Whether the request went wrong, and the client was told.
    pub fn has_spoiled(&self) -> bool {
        self.way.produced.load(Ordering::Acquire) >= self.way.nth && self.way.answered.load(Ordering::Acquire) > 0
    }
}

/// A way on which of the requests that produce to `topic` the one with the number `nth` goes wrong, from 1.
pub fn spoiled_way(broker: &str, topic: &str, nth: usize, told: Told) -> SpoiledWay {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let (kept, last) = topic.split_at(topic.len() - 1);
    let wrong = format!("{kept}{}", if last == "x" { "y" } else { "x" });
    let (_, port) = broker.rsplit_once(':').unwrap();
    let broker = port.parse().unwrap();
    let (topic, produced, answered) = (topic.to_owned(), AtomicUsize::new(0), AtomicUsize::new(0));
    let way = Arc::new(Way { broker, own, topic, wrong, nth, told, produced, answered });
    let spoiled = SpoiledWay { address: format!("127.0.0.1:{own}"), way: Arc::clone(&way) };
    spawn(move || {
        for client in listener.incoming() {
            let (client, broker) = (client.unwrap(), TcpStream::connect(("127.0.0.1", way.broker)).unwrap());
            let back = (broker.try_clone().unwrap(), client.try_clone().unwrap());
            let (to, fro) = (Arc::clone(&way), Arc::clone(&way));
            spawn(move || to.requests(client, broker));
            spawn(move || fro.answers(back.0, back.1));
        }
    });
    spoiled
}

impl Way {
    fn requests(&self, mut client: TcpStream, mut broker: TcpStream) {
        while let Some(mut request) = frame(&mut client) {
            let produces = request.starts_with(&PRODUCE) && find(&request, self.topic.as_bytes()).is_some();
            if produces && self.produced.fetch_add(1, Ordering::AcqRel) + 1 == self.nth {
                replace(&mut request, self.topic.as_bytes(), self.wrong.as_bytes());
                client.set_read_timeout(Some(COMPANY)).unwrap();
                let _ = client.peek(&mut [0]); // more, or nothing in that time
                client.set_read_timeout(None).unwrap();
            }
            if pass_on(&mut broker, &request).is_err() {
                break;
            }
        }
        let _ = broker.shutdown(std::net::Shutdown::Both);
    }

    fn answers(&self, mut broker: TcpStream, mut client: TcpStream) {
        let address = |port: u16| [b"127.0.0.1".as_slice(), &i32::from(port).to_be_bytes()].concat();
        while let Some(mut answer) = frame(&mut broker) {
            replace(&mut answer, &address(self.broker), &address(self.own));
            if let Some(place) = find(&answer, self.wrong.as_bytes()) {
                replace(&mut answer, self.wrong.as_bytes(), self.topic.as_bytes());
                self.answered.fetch_add(1, Ordering::AcqRel);
                if self.told == Told::Duplicate {
                    // After the name: how many partitions (a byte), the partition, the error, the offset.
                    let error = place + self.topic.len() + 1 + 4;
                    answer[error..error + 2].copy_from_slice(&DUPLICATE_SEQUENCE_NUMBER.to_be_bytes());
                    answer[error + 2..error + 10].copy_from_slice(&(-1_i64).to_be_bytes());
                }
            }
            if pass_on(&mut client, &answer).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    }
}

fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    from.read_exact(&mut frame).ok()?;
    Some(frame)
}

fn pass_on(to: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    to.write_all(&[&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat())
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

fn replace(within: &mut [u8], what: &[u8], with: &[u8]) {
    while let Some(place) = find(within, what) {
        within[place..place + what.len()].copy_from_slice(with);
    }
}
