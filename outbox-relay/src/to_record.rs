//! A row as it goes out.

use service_kit::trace;

use crate::publisher::{Failure, OutboxRow};
use crate::sql::ReadRow;

/// The row with the plain `traceparent` that tracing of Kafka clients looks for: a span of its own in the trace that the
/// header `trace_header` names. It is the same whenever the row goes out: a consumer of the topic can't tell a row that
/// was published anew from the first time.
pub(crate) fn to_record(row: ReadRow, trace_header: Option<&str>) -> Result<OutboxRow, Failure> {
    let (id, topic, key, headers, payload, _, _) = row;
    let unreadable = || Failure::Refused("its headers are not pairs of texts".to_owned());
    let mut headers = headers.0.ok_or_else(unreadable)?;
    let context = headers.iter().find(|header| trace_header == Some(header.0.as_str()));
    if let Some((_, context)) = context {
        let span = trace::same_child_of(context, &format!("{topic} {id}"));
        headers.push(("traceparent".to_owned(), span));
    }
    Ok(OutboxRow { id, topic, key, headers, payload })
}
