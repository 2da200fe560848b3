//! A producer and the thread that polls it.
//!
//! librdkafka hands out delivery reports and errors only to a caller that polls. While rows are under way the thread does
//! nothing else, so each report arrives at once. While there are none it sleeps: sending a row wakes it, and it wakes by
//! itself from time to time to fetch errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Partitioner, Producer, ProducerContext, PurgeConfig};

/// How long one poll lasts. It passes on at once whatever arrives; between two polls the thread checks whether rows are still
/// under way and whether it must end.
const SLICE: Duration = Duration::from_millis(100);
/// How often the thread polls a producer that has no rows.
const LOOK: Duration = Duration::from_secs(1);

/// A producer with its thread.
pub(super) struct Served<C: ProducerContext<P> + 'static, P: Partitioner + Send + Sync + 'static> {
    producer: Arc<BaseProducer<C, P>>,
    stop: Arc<AtomicBool>,
    /// None once the thread was told to stop.
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext<P> + 'static, P: Partitioner + Send + Sync + 'static> Served<C, P> {
    /// Makes the producer and starts its thread.
    pub fn start(config: &ClientConfig, context: C) -> Result<Self, KafkaError> {
        Self::looked_at_every(LOOK, config, context)
    }

    fn looked_at_every(look: Duration, config: &ClientConfig, context: C) -> Result<Self, KafkaError> {
        let producer = Arc::new(config.create_with_context::<C, BaseProducer<C, P>>(context)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (served, told) = (Arc::clone(&producer), Arc::clone(&stop));
        let thread = thread::Builder::new().name("producer".to_owned()).spawn(move || {
            serve(&*served, || told.load(Ordering::Acquire), || thread::park_timeout(look));
        });
        let thread = thread.map_err(|error| KafkaError::ClientCreation(format!("no thread for it: {error}")))?;
        Ok(Self { producer, stop, thread: Some(thread) })
    }

    /// Hands a row to the client.
    pub fn send(&self, record: BaseRecord<'_, str, [u8], C::DeliveryOpaque>) -> Result<(), KafkaError> {
        self.producer.send(record).map_err(|(error, _)| error)?;
        // Only now: a thread that is woken before the row is queued would find nothing and sleep again.
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        Ok(())
    }

    /// Waits up to `patience` for the rows that are under way, then gives up the rest, which are reported as failed. Blocks.
    pub fn end(mut self, patience: Duration) {
        if !patience.is_zero() {
            self.stop(); // the flush polls itself
            let _ = self.producer.flush(patience); // what is not acknowledged by then is given up
        }
        // Before waiting for the thread: meanwhile the client would go on sending.
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the producer's thread panicked");
            }
        }
    }
}

impl<C: ProducerContext<P> + 'static, P: Partitioner + Send + Sync + 'static> Drop for Served<C, P> {
    /// The producer is dropped with its last handle, and fetches the last reports while it ends.
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread needs of a producer.
trait Client {
    /// How many rows are under way, and reports and errors not fetched yet.
    fn open(&self) -> i32;
    /// Fetches reports and errors, for [`SLICE`].
    fn poll(&self);
}

impl<C: ProducerContext<P>, P: Partitioner> Client for BaseProducer<C, P> {
    fn open(&self) -> i32 {
        self.in_flight_count()
    }

    fn poll(&self) {
        Self::poll(self, SLICE);
    }
}

fn serve(client: &impl Client, told_to_stop: impl Fn() -> bool, rest: impl Fn()) {
    while !told_to_stop() {
        if client.open() > 0 {
            client.poll();
        } else {
            rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc::{Sender, channel};

    use rdkafka::ClientContext;
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::message::DeliveryResult;
    use rdkafka::producer::NoCustomPartitioner;
    use service_kit::testing::{kafka_bootstrap, unique};

    use super::*;

    /// Counts polls; each fetches one report.
    #[derive(Default)]
    struct Counted {
        open: Cell<i32>,
        polls: Cell<usize>,
    }

    impl Client for Counted {
        fn open(&self) -> i32 {
            self.open.get()
        }

        fn poll(&self) {
            self.polls.set(self.polls.get() + 1);
            self.open.set(self.open.get() - 1);
        }
    }

    #[test]
    fn a_producer_without_rows_is_not_polled_and_one_with_rows_until_the_last_is_reported() {
        let (client, rests) = (Counted::default(), Cell::new(0));
        // a row is sent in the 10th rest, two in the 20th
        let rest = || {
            rests.set(rests.get() + 1);
            match rests.get() {
                10 => client.open.set(1),
                20 => client.open.set(2),
                _ => {}
            }
        };
        serve(&client, || rests.get() == 30, rest);
        assert_eq!(client.polls.get(), 3);
    }

    struct Told(Sender<bool>);

    impl ClientContext for Told {}

    impl ProducerContext for Told {
        type DeliveryOpaque = usize;

        fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
            self.0.send(result.is_ok()).unwrap();
        }
    }

    fn served(bootstrap: &str) -> (Served<Told, NoCustomPartitioner>, std::sync::mpsc::Receiver<bool>) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("linger.ms", "0");
        let (sender, told) = channel();
        // nobody but the sender of a row wakes it
        (Served::looked_at_every(Duration::from_secs(3600), &config, Told(sender)).unwrap(), told)
    }

    async fn new_topic() -> String {
        let name = unique("long-rest");
        let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
        let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
        name
    }

    #[tokio::test]
    async fn a_row_that_is_sent_after_a_long_rest_is_acknowledged_at_once() {
        let topic = new_topic().await;
        let (served, told) = served(&kafka_bootstrap());
        for _ in 0..3 {
            served.send(BaseRecord::with_opaque_to(topic.as_str(), 0).key("a").payload(&b"x"[..])).unwrap();
            assert!(told.recv_timeout(Duration::from_secs(30)).unwrap());
            // the thread has nothing to do any more, and rests
            while served.producer.in_flight_count() > 0 {
                thread::yield_now();
            }
        }
        served.end(Duration::from_secs(5));
    }

    #[test]
    fn a_producer_that_rests_ends_at_once_and_what_nobody_takes_is_reported_as_failed() {
        let (idle, _) = served("127.0.0.1:1");
        idle.end(Duration::ZERO);
        let (served, told) = served("127.0.0.1:1");
        served.send(BaseRecord::with_opaque_to("t", 0).key("a").payload(&b"x"[..])).unwrap();
        served.end(Duration::ZERO);
        assert!(!told.recv_timeout(Duration::from_secs(30)).unwrap());
    }
}
