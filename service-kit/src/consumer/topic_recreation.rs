//! Notices topics that are deleted and created anew while they are being read.
//!
//! A recreated topic has a new id, and its offsets and its leaders' epochs begin at 0 again. librdkafka notices the
//! new id but goes on at its old offset, so whatever the new topic holds before that offset would silently never be
//! read. If a broker was ever restarted, librdkafka takes the new leaders for outdated ones and never reads again. It
//! reports the new id only in its log, before it reads anything of the new topic. So this module reads that log.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The name, in librdkafka's setting `debug`, of the log messages that report topic ids.
pub(crate) const DEBUG: &str = "metadata";
const FACILITY: &str = "METADATA";
/// The id that librdkafka logs for a topic whose id it doesn't know yet.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The topics that were recreated since the client was created.
#[derive(Default)]
pub(crate) struct RecreatedTopics {
    news: AtomicBool,
    topics: Mutex<BTreeSet<String>>,
}

impl RecreatedTopics {
    /// Looks for a recreated topic in a line of librdkafka's log.
    pub fn note_log(&self, facility: &str, message: &str) {
        let Some(topic) = (facility == FACILITY).then(|| with_another_id(message)).flatten() else { return };
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        self.news.store(true, Ordering::Release);
    }

    /// Whether a topic was recreated since the last call.
    pub fn is_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::Acquire)
    }

    pub fn topics(&self) -> BTreeSet<String> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn with_another_id(message: &str) -> Option<&str> {
    let (before, ids) = message.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (old, new) = ids.split_once(" to ")?;
    (old != NONE && new != NONE).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_another_one_when_it_had_an_id_before() {
        let made = RecreatedTopics::default();
        let told =
            |from: &str| format!("[thrd:main]: Topic orders.v1 changed id from {from} to lXEHhYShTNahzA2eFflfug");
        made.note_log("METADATA", &told(NONE));
        made.note_log("METADATA", "[thrd:main]: Topic orders.v1 [0] Leader 1 Epoch 0");
        made.note_log("STATE", &told("QqPVmwjWSV+ZEir89TfzmQ"));
        assert!(!made.is_news() && made.topics().is_empty());
        made.note_log("METADATA", &told("QqPVmwjWSV+ZEir89TfzmQ"));
        assert!(made.is_news() && !made.is_news(), "it is news once");
        assert_eq!(made.topics(), BTreeSet::from(["orders.v1".to_owned()]));
    }
}
