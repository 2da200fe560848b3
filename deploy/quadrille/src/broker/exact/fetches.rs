//! What a fetch asks for, and whether it is there.

use std::sync::{Arc, PoisonError};

use tansu_sans_io::{FetchRequest, fetch_request::FetchTopic};
use tansu_storage::{Result, Storage, TopicId, Topition};

use super::Exact;

impl Exact {
    /// Ends when something is written after this was called.
    pub(in crate::broker) fn produced(&self) -> impl Future<Output = ()> {
        Arc::clone(&self.written).notified_owned()
    }

    /// Whether a partition has a record at its offset or after it.
    pub(in crate::broker) fn has_any(&self, places: &[(Topition, i64)]) -> bool {
        let all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let end = |partition| Some(*all.get(partition)?.last_key_value()?.1);
        places.iter().any(|(partition, offset)| end(partition).is_some_and(|last| last >= *offset))
    }

    /// What is fetched, partition by partition, and from which offset on. None if nobody knows one of the topics.
    pub(in crate::broker) async fn places(&self, fetch: &FetchRequest) -> Result<Option<Vec<(Topition, i64)>>> {
        let mut places = Vec::new();
        for topic in fetch.topics.iter().flatten() {
            let Some(name) = self.name(topic).await? else { return Ok(None) };
            let partitions = topic.partitions.iter().flatten();
            places.extend(partitions.map(|of| (Topition::new(name.as_str(), of.partition), of.fetch_offset)));
        }
        Ok(Some(places))
    }

    async fn name(&self, topic: &FetchTopic) -> Result<Option<String>> {
        if let Some(name) = &topic.topic {
            return Ok(Some(name.clone()));
        }
        let Some(id) = topic.topic_id else { return Ok(None) };
        let known = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let told = self.store.metadata(Some(&[TopicId::from(topic)])).await?;
        let name = told.topics().iter().find_map(|topic| topic.name.clone());
        if let Some(name) = &name {
            self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name.clone());
        }
        Ok(name)
    }
}
