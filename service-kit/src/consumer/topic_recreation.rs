//! Topics that were deleted and created anew while they are heard.
//!
//! A topic that is made anew has another id, its offsets begin at 0 again, and so do the epochs of its leaders. librdkafka
//! notices the id and goes on at the offset where it was: what the new topic holds before that offset would never be
//! read, and nobody would know. If a broker was ever restarted, it takes the new leaders for outdated ones instead and
//! never reads again. It tells of the id in its log alone, before it reads anything of the new topic; that is what is
//! listened to here.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The part of librdkafka's log in which topics' ids are told, as its setting `debug` names it.
pub(crate) const DEBUG: &str = "metadata";
const FACILITY: &str = "METADATA";
/// The id of a topic of which none is known yet.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The topics that were made anew since the client was, as it told.
#[derive(Default)]
pub(crate) struct RecreatedTopics {
    news: AtomicBool,
    topics: Mutex<BTreeSet<String>>,
}

impl RecreatedTopics {
    /// Listens to a line of librdkafka's log.
    pub fn note_log(&self, facility: &str, message: &str) {
        let Some(topic) = (facility == FACILITY).then(|| with_another_id(message)).flatten() else { return };
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        self.news.store(true, Ordering::Release);
    }

    /// Whether any was told since this was asked last.
    pub fn is_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::Acquire)
    }

    /// All that were told.
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
