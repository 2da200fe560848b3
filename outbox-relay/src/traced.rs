//! The spans of a row: how long it waited in the outbox, and how long the brokers took until they had it.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use service_kit::trace::{self, Context, Kind, Span, Told, semconv};

use crate::publisher::OutboxRow;

/// A row on its way whose trace is exported. Others have none, so that they cost nothing.
pub(crate) struct Traced {
    /// The span in which it was appended.
    made_in: Context,
    /// The span as which it is sent, which its consumers know.
    sent_as: Context,
    appended: SystemTime,
    handed_over: SystemTime,
    topic: String,
    event_id: Option<String>,
    event_type: Option<String>,
    correlation_id: Option<String>,
}

impl Traced {
    /// A row that is handed to the publisher now.
    pub fn new(made_in: Context, row: &OutboxRow, appended: DateTime<Utc>) -> Option<Self> {
        // The relay's own is the last: a copy of a dead letter has the one of its event, too.
        let sent_as = row.headers.iter().last().and_then(|(_, traceparent)| Context::parse(traceparent))?;
        let header = |name| row.headers.get(name).map(str::to_owned);
        Some(Self {
            made_in,
            sent_as,
            appended: appended.into(),
            handed_over: SystemTime::now(),
            topic: row.topic.clone(),
            event_id: header("ce_id"),
            event_type: header("ce_type"),
            correlation_id: header("ce_correlationid"),
        })
    }

    /// The brokers have it.
    pub fn acknowledged(self) {
        trace::waited(self.made_in, self.appended, self.handed_over, || {
            self.told(Kind::Internal, "wait outbox".to_owned())
        });
        let span = Span::known(self.sent_as, Some(self.made_in), self.handed_over);
        span.end(None, || {
            self.told(Kind::Producer, format!("send {}", self.topic)).with(semconv::MESSAGING_OPERATION_TYPE, "send")
        });
    }

    fn told(&self, kind: Kind, name: String) -> Told {
        Told::new(kind, name)
            .with(semconv::MESSAGING_SYSTEM, "kafka")
            .with(semconv::MESSAGING_DESTINATION_NAME, self.topic.clone())
            .maybe(semconv::MESSAGING_MESSAGE_ID, self.event_id.clone())
            .maybe(semconv::CLOUDEVENTS_EVENT_TYPE, self.event_type.clone())
            .maybe(semconv::MESSAGING_MESSAGE_CONVERSATION_ID, self.correlation_id.clone())
    }
}
