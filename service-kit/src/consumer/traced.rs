//! The spans of a batch: one of the batch itself, with a link to each of its events, and two in the trace of each event: its wait
//! in Kafka, and from when the lane took it until the transaction that handled it was committed.

use std::time::SystemTime;

use super::{Mode, Outcome, ReactionError, Record, Why};
use crate::trace::{self, Context, Kind, Span, Told, semconv};

pub(crate) struct BatchTrace<'a> {
    consumer: &'a str,
    events: Vec<(&'a Record, Span)>,
    /// A topic that tells the present is read again with each start, long after its events were sent.
    tells_events: bool,
    batch: Span,
}

impl<'a> BatchTrace<'a> {
    /// Draws the spans. A batch has a trace of its own, which is sampled if one of its events' traces is.
    pub fn begin(consumer: &'a str, mode: Mode, records: &[&'a Record]) -> Self {
        let now = SystemTime::now();
        let since = |record: &Record| record.arrival.map_or(now, |arrival| arrival.taken.into());
        let events: Vec<_> =
            records.iter().map(|record| (*record, Span::begun_at(record.context(), since(record)))).collect();
        let tells_events = mode == Mode::Inbox;
        let is_sampled = tells_events && events.iter().any(|(_, span)| span.context().is_sampled());
        Self { consumer, events, tells_events, batch: Span::known(Context::root(is_sampled), None, now) }
    }

    /// The batch's own.
    pub const fn context(&self) -> Context {
        self.batch.context()
    }

    /// The one of the event at this place.
    pub fn of(&self, place: usize) -> Context {
        self.events.get(place).map_or_else(|| self.context(), |(_, span)| span.context())
    }

    /// Tells of a batch whose transaction is over. What was rolled back is tried again, so of its events nothing is told.
    pub fn end(self, handled: &Result<Vec<Outcome>, ReactionError>) {
        if !trace::is_on() {
            return;
        }
        let failure = match handled {
            Ok(outcomes) => {
                self.tell_events(outcomes);
                None
            }
            Err(ReactionError::Transient(_)) => Some("transient".into()),
            Err(ReactionError::Permanent(_)) => Some("permanent".into()),
        };
        self.batch.end(failure, || self.told(handled.as_ref().ok().map(Vec::as_slice)));
    }

    fn told(&self, outcomes: Option<&[Outcome]>) -> Told {
        let count = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        let mut told = Told::new(Kind::Consumer, format!("batch {}", self.consumer))
            .with(semconv::MESSAGING_SYSTEM, "kafka")
            .with(semconv::MESSAGING_OPERATION_TYPE, "process")
            .with(semconv::MESSAGING_CONSUMER_GROUP_NAME, self.consumer.to_owned())
            .with(semconv::MESSAGING_BATCH_MESSAGE_COUNT, count);
        let events = self.events.iter().enumerate().filter(|_| self.tells_events);
        for (place, (record, span)) in events {
            // Of an event that was handled here its own span, of any other the one that sent it.
            let outcome = outcomes.and_then(|outcomes| outcomes.get(place));
            let to = if outcome.is_some_and(is_told) { Some(span.context()) } else { record.context() };
            if let Some(to) = to.filter(|to| to.is_sampled()) {
                told = told.linked(to, outcome.map(|outcome| (semconv::OUTCOME, outcome.label())));
            }
        }
        told
    }

    fn tell_events(&self, outcomes: &[Outcome]) {
        if !self.tells_events {
            return;
        }
        let now = SystemTime::now();
        for ((record, span), outcome) in self.events.iter().zip(outcomes).filter(|(_, outcome)| is_told(outcome)) {
            if let (Some(sent), Some(arrival)) = (record.context(), record.arrival)
                && let Some(since) = arrival.sent
            {
                let told = || about(record, Told::new(Kind::Internal, format!("wait {}", record.place.topic)));
                trace::waited(sent, since.into(), arrival.taken.into(), told);
            }
            let failure = matches!(outcome, Outcome::DeadLettered(_)).then(|| outcome.label().into());
            // What is slow is the batch, and that is kept.
            if span.context().is_sampled() || failure.is_some() {
                span.end_at(now, failure, || processed(self.consumer, record, outcome));
            }
        }
    }
}

/// Whether a span is told of the event: a duplicate's was told when it came first, and what concerns nobody here is passed over.
const fn is_told(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Applied
        | Outcome::Ignored(Why::Stale | Why::Refused(_))
        | Outcome::DeadLettered(_)
        | Outcome::QueuedBehind => true,
        Outcome::Duplicate | Outcome::Ignored(Why::NotForUs) | Outcome::Skipped => false,
    }
}

/// What is told of an event that was handled.
pub(crate) fn processed(consumer: &str, record: &Record, outcome: &Outcome) -> Told {
    about(record, Told::new(Kind::Consumer, format!("process {}", record.place.topic)))
        .with(semconv::MESSAGING_OPERATION_TYPE, "process")
        .with(semconv::MESSAGING_CONSUMER_GROUP_NAME, consumer.to_owned())
        .with(semconv::OUTCOME, outcome.label())
}

pub(crate) fn about(record: &Record, told: Told) -> Told {
    let header = |name| record.header(name).map(str::to_owned);
    told.with(semconv::MESSAGING_SYSTEM, "kafka")
        .with(semconv::MESSAGING_DESTINATION_NAME, record.place.topic.clone())
        .with(semconv::MESSAGING_DESTINATION_PARTITION_ID, record.place.partition.to_string())
        .with(semconv::MESSAGING_KAFKA_OFFSET, record.place.offset)
        .maybe(semconv::MESSAGING_MESSAGE_ID, header("ce_id"))
        .maybe(semconv::CLOUDEVENTS_EVENT_TYPE, header("ce_type"))
        .maybe(semconv::MESSAGING_MESSAGE_CONVERSATION_ID, header("ce_correlationid"))
}
