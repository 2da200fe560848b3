//! A row as it goes out.

use service_kit::trace::{self, Context};

use crate::publisher::{Failure, OutboxRow};
use crate::sql::ReadRow;

/// The row with the plain `traceparent` that tracing of Kafka clients looks for: a span of its own in the trace that the
/// header `trace_header` names. It is the same whenever the row goes out: a consumer of the topic can't tell a row that
/// was published anew from the first time. With it the span in which the row was appended, if its trace is exported.
pub(crate) fn to_record(row: ReadRow, trace_header: Option<&str>) -> Result<(OutboxRow, Option<Context>), Failure> {
    let ReadRow { id, topic, key, headers, payload, .. } = row;
    let unreadable = || Failure::Refused("its headers are not pairs of texts".to_owned());
    let mut headers = headers.read.ok_or_else(unreadable)?;
    let mut made_in = None;
    if let Some(context) = trace_header.and_then(|name| headers.get(name)) {
        made_in = trace::exported(context);
        let span = trace::same_child_of(context, &format!("{topic} {id}"));
        headers.push("traceparent", &span);
    }
    Ok((OutboxRow { id, topic, key, headers, payload }, made_in))
}
