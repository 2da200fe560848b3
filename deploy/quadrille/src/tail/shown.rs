//! How an event is shown.

use std::io::{self, Write};

use chrono::DateTime;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

/// Its time, type, key and place, then its headers and its value.
pub(super) fn show(out: &mut impl Write, message: &BorrowedMessage<'_>) -> io::Result<()> {
    let time = message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis);
    let time = time.map(|time| time.format("%H:%M:%S%.3f").to_string()).unwrap_or_default();
    let key = String::from_utf8_lossy(message.key().unwrap_or_default());
    let kind = header(message, "ce_type").unwrap_or_else(|| "?".to_owned());
    writeln!(out, "{time} {kind} key={key} {}[{}]@{}", message.topic(), message.partition(), message.offset())?;
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        writeln!(out, "    {}: {}", header.key, String::from_utf8_lossy(header.value.unwrap_or_default()))?;
    }
    match message.payload() {
        Some(payload) => writeln!(out, "    {}", String::from_utf8_lossy(payload)),
        None => writeln!(out, "    (no value: the key is deleted)"),
    }
}

pub(super) fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let found = message.headers()?.iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(found.value?).into_owned())
}
