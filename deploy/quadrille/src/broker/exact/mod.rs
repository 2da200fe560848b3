//! The store of the embedded broker, with answers as Kafka gives them. Five things are otherwise in tansu 0.6:
//!
//! Asked for a partition's end, it answers where its last batch begins: lags would be too small, and a reader that stops at
//! the end would leave the last batch out. The store itself knows better (`offset_stage`).
//!
//! Asked for records from the middle of a batch on, it leaves that batch out: a consumer that was paused, or comes back to
//! what it had committed, would never see the batch's other records. So it is asked from the batch's beginning on, and what
//! was not asked for is taken out of the answer: tansu-broker counts the records of an answer to know what to ask next.
//!
//! Asked for a topic's settings, it leaves out those that have their default.
//!
//! When the leader of a group leaves while the group is being rebalanced, the group keeps it as its leader, and nobody is
//! given a partition ever again. That is put right where the group's state is kept.
//!
//! When a member dies, a group may count as assigned although it is not. Once a dead leader is given up, whoever asks
//! for its share first becomes the leader, and since it didn't know that, it assigns nothing to anybody; and what a
//! dead member had never goes to those who are left. So a group counts as assigned only if exactly its members have an
//! assignment, be it an empty one; otherwise all join anew.

mod fetches;
mod stages;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tansu_sans_io::create_topics_request::CreatableTopic;
use tansu_sans_io::delete_groups_response::DeletableGroupResult;
use tansu_sans_io::delete_records_request::DeleteRecordsTopic;
use tansu_sans_io::delete_records_response::DeleteRecordsTopicResult;
use tansu_sans_io::describe_cluster_response::DescribeClusterBroker;
use tansu_sans_io::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use tansu_sans_io::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use tansu_sans_io::incremental_alter_configs_request::AlterConfigsResource;
use tansu_sans_io::incremental_alter_configs_response::AlterConfigsResourceResponse;
use tansu_sans_io::list_groups_response::ListedGroup;
use tansu_sans_io::record::{deflated, inflated};
use tansu_sans_io::txn_offset_commit_response::TxnOffsetCommitResponseTopic;
use tansu_sans_io::{ConfigResource, ConfigSource, ConfigType, ErrorCode, IsolationLevel, ListOffset, ScramMechanism};
use tansu_storage::{
    BrokerRegistrationRequest, GroupDetail, GroupState, ListOffsetResponse, MetadataResponse, NamedGroupDetail,
    OffsetCommitRequest, OffsetStage, ProducerIdResponse, Result, ScramCredential, Storage, StorageContainer, TopicId,
    Topition, TxnAddPartitionsRequest, TxnAddPartitionsResponse, TxnOffsetCommitRequest, UpdateError, Version,
};
use tokio::sync::Notify;
use url::Url;
use uuid::Uuid;

use self::stages::Stages;

const CLEANUP_POLICY: &str = "cleanup.policy";

/// The store beneath, corrected.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    store: StorageContainer,
    /// The first and the last offset of each batch of each partition.
    batches: Arc<Mutex<BTreeMap<Topition, BTreeMap<i64, i64>>>>,
    /// Held by whoever writes. The store gives a batch its offset before it can be read: a reader that is given a later
    /// batch meanwhile would never come back for this one.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// Told whenever something was written.
    written: Arc<Notify>,
    /// The names of topics that were asked for by their ids.
    names: Arc<Mutex<HashMap<TopicUuid, String>>>,
    stages: Arc<Stages>,
}

/// A topic's id, as requests hold it.
type TopicUuid = [u8; 16];

/// Passes on what isn't corrected below. After what `moves` the ends of partitions, these are forgotten.
macro_rules! pass_on {
    (
        moves { $($moving:ident($($moved:ident: $moved_type:ty),*) -> $moved_to:ty;)* }
        $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*
    ) => {
        #[async_trait]
        impl Storage for Exact {
            async fn list_offsets(
                &self,
                isolation: IsolationLevel,
                asked: &[(Topition, ListOffset)],
            ) -> Result<Vec<(Topition, ListOffsetResponse)>> {
                self.exact_offsets(isolation, asked).await
            }

            async fn produce(
                &self,
                transaction: Option<&str>,
                to: &Topition,
                batch: deflated::Batch,
            ) -> Result<i64> {
                let more = i64::from(batch.last_offset_delta);
                let _alone = self.writing.lock().await;
                let first = self.store.produce(transaction, to, batch).await;
                self.stages.forget();
                let first = first?;
                self.note(to, first, first + more);
                self.written.notify_waiters();
                Ok(first)
            }

            async fn fetch(
                &self,
                of: &Topition,
                offset: i64,
                min_bytes: u32,
                max_bytes: u32,
                isolation: IsolationLevel,
            ) -> Result<Vec<deflated::Batch>> {
                // most of what is asked for isn't there yet, and the store would look through all that is
                if !self.has_any(&[(of.clone(), offset)]) {
                    return Ok(Vec::new());
                }
                let from = self.beginning_of(of, offset);
                let mut batches = self.store.fetch(of, from, min_bytes, max_bytes, isolation).await?;
                if from < offset && let Some(first) = batches.first_mut() {
                    *first = without_records_before(offset, first)?;
                }
                Ok(batches)
            }

            async fn describe_config(
                &self,
                name: &str,
                resource: ConfigResource,
                keys: Option<&[String]>,
            ) -> Result<DescribeConfigsResult> {
                let told = self.store.describe_config(name, resource, keys).await?;
                match resource {
                    ConfigResource::Topic => self.with_cleanup_policy(name, told).await,
                    _ => Ok(told),
                }
            }

            async fn delete_topic(&self, topic: &TopicId) -> Result<ErrorCode> {
                let known = self.store.metadata(Some(std::slice::from_ref(topic))).await?;
                let code = self.store.delete_topic(topic).await?;
                self.stages.forget();
                known.topics().iter().filter_map(|topic| topic.name.as_deref()).for_each(|name| self.forget(name));
                Ok(code)
            }

            async fn update_group(
                &self,
                group: &str,
                detail: GroupDetail,
                version: Option<Version>,
            ) -> Result<Version, UpdateError<GroupDetail>> {
                self.keep_group(group, detail, version).await
            }

            async fn offset_stage(&self, of: &Topition) -> Result<OffsetStage> {
                self.stages.get(of, self.store.offset_stage(of)).await
            }

            $(async fn $moving(&self, $($moved: $moved_type),*) -> $moved_to {
                let done = self.store.$moving($($moved),*).await;
                self.stages.forget();
                done
            })*

            $(async fn $name(&self, $($argument: $type),*) -> $answer {
                self.store.$name($($argument),*).await
            })*
        }
    };
}

pass_on! {
    moves {
        create_topic(topic: CreatableTopic, validate_only: bool) -> Result<Uuid>;
        delete_records(topics: &[DeleteRecordsTopic]) -> Result<Vec<DeleteRecordsTopicResult>>;
        txn_end(transaction_id: &str, producer_id: i64, producer_epoch: i16, committed: bool) -> Result<ErrorCode>;
        maintain(now: SystemTime) -> Result<()>;
    }
    register_broker(broker_registration: BrokerRegistrationRequest) -> Result<()>;
    incremental_alter_resource(resource: AlterConfigsResource) -> Result<AlterConfigsResourceResponse>;
    brokers() -> Result<Vec<DescribeClusterBroker>>;
    offset_commit(group_id: &str, retention_time_ms: Option<Duration>, offsets: &[(Topition, OffsetCommitRequest)]) -> Result<Vec<(Topition, ErrorCode)>>;
    offset_fetch(group_id: Option<&str>, topics: &[Topition], require_stable: Option<bool>) -> Result<BTreeMap<Topition, i64>>;
    committed_offset_topitions(group_id: &str) -> Result<BTreeMap<Topition, i64>>;
    metadata(topics: Option<&[TopicId]>) -> Result<MetadataResponse>;
    upsert_user_scram_credential(user: &str, mechanism: ScramMechanism, credential: ScramCredential) -> Result<()>;
    delete_user_scram_credential(user: &str, mechanism: ScramMechanism) -> Result<()>;
    user_scram_credential(user: &str, mechanism: ScramMechanism) -> Result<Option<ScramCredential>>;
    list_groups(states_filter: Option<&[String]>) -> Result<Vec<ListedGroup>>;
    delete_groups(group_ids: Option<&[String]>) -> Result<Vec<DeletableGroupResult>>;
    describe_groups(group_ids: Option<&[String]>, include_authorized_operations: bool) -> Result<Vec<NamedGroupDetail>>;
    describe_topic_partitions(topics: Option<&[TopicId]>, partition_limit: i32, cursor: Option<Topition>) -> Result<Vec<DescribeTopicPartitionsResponseTopic>>;
    init_producer(transaction_id: Option<&str>, transaction_timeout_ms: i32, producer_id: Option<i64>, producer_epoch: Option<i16>) -> Result<ProducerIdResponse>;
    txn_add_offsets(transaction_id: &str, producer_id: i64, producer_epoch: i16, group_id: &str) -> Result<ErrorCode>;
    txn_add_partitions(partitions: TxnAddPartitionsRequest) -> Result<TxnAddPartitionsResponse>;
    txn_offset_commit(offsets: TxnOffsetCommitRequest) -> Result<Vec<TxnOffsetCommitResponseTopic>>;
    cluster_id() -> Result<String>;
    node() -> Result<i32>;
    advertised_listener() -> Result<Url>;
    ping() -> Result<()>;
}

impl Exact {
    /// A store that is empty.
    pub fn new(store: StorageContainer) -> Self {
        Self {
            store,
            batches: Arc::default(),
            writing: Arc::default(),
            written: Arc::default(),
            names: Arc::default(),
            stages: Arc::default(),
        }
    }

    /// The one default that somebody asks for: whether a topic is compacted.
    async fn with_cleanup_policy(&self, topic: &str, told: DescribeConfigsResult) -> Result<DescribeConfigsResult> {
        let mut settings = told.configs.clone().unwrap_or_default();
        if settings.iter().any(|setting| setting.name == CLEANUP_POLICY) {
            return Ok(told);
        }
        let asked = [TopicId::Name(topic.to_owned())];
        let found = self.store.describe_topic_partitions(Some(&asked), 1, None).await?;
        if !found.iter().any(|topic| topic.error_code == i16::from(ErrorCode::None)) {
            return Ok(told);
        }
        settings.push(
            DescribeConfigsResourceResult::default()
                .name(CLEANUP_POLICY.to_owned())
                .value(Some("delete".to_owned()))
                .config_source(Some(ConfigSource::DefaultConfig.into()))
                .synonyms(Some(Vec::new()))
                .config_type(Some(ConfigType::List.into())),
        );
        Ok(told.configs(Some(settings)))
    }

    /// Keeps a group's state. The coordinator has a copy of its own, and takes this one only when it is told that it is
    /// behind: so it is told that if this one had to be put right, and does what it was about to do once more.
    async fn keep_group(
        &self,
        group: &str,
        mut detail: GroupDetail,
        version: Option<Version>,
    ) -> Result<Version, UpdateError<GroupDetail>> {
        if !put_right(&mut detail) {
            return self.store.update_group(group, detail, version).await;
        }
        let version = self.store.update_group(group, detail.clone(), version).await?;
        Err(UpdateError::Outdated { current: Box::new(detail), version })
    }

    fn note(&self, partition: &Topition, first: i64, last: i64) {
        let mut all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(partition.clone()).or_default().insert(first, last);
    }

    /// The first offset of the batch that has this one; the offset itself if no batch has it yet.
    fn beginning_of(&self, partition: &Topition, offset: i64) -> i64 {
        let all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(partition).and_then(|of_it| of_it.range(..=offset).next_back());
        before.filter(|(_, last)| **last >= offset).map_or(offset, |(first, _)| *first)
    }

    fn forget(&self, topic: &str) {
        let mut all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|partition, _| partition.topic() != topic);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, name| name != topic);
    }

    async fn exact_offsets(
        &self,
        isolation: IsolationLevel,
        asked: &[(Topition, ListOffset)],
    ) -> Result<Vec<(Topition, ListOffsetResponse)>> {
        let mut answers = self.store.list_offsets(isolation, asked).await?;
        for (at, answer) in &mut answers {
            let Some((_, question)) = asked.iter().find(|(topition, _)| topition == at) else { continue };
            if answer.error_code != ErrorCode::None || matches!(question, ListOffset::Timestamp(_)) {
                continue;
            }
            let stage = self.offset_stage(at).await?;
            answer.offset = Some(match (question, isolation) {
                (ListOffset::Earliest, _) => stage.log_start(),
                (_, IsolationLevel::ReadCommitted) => stage.last_stable(),
                _ => stage.high_watermark(),
            });
        }
        Ok(answers)
    }
}

/// True where the state was one that a group never gets out of. The next to join is made the leader.
fn put_right(group: &mut GroupDetail) -> bool {
    match &mut group.state {
        GroupState::Forming { leader, .. } => leader.take_if(|leader| !group.members.contains_key(leader)).is_some(),
        GroupState::Formed { assignments, .. } if assignments.keys().eq(group.members.keys()) => false,
        GroupState::Formed { protocol_type, protocol_name, .. } => {
            // of a later generation, so that the members hear of it
            group.generation_id += 1;
            group.state = GroupState::Forming {
                protocol_type: Some(std::mem::take(protocol_type)),
                protocol_name: Some(std::mem::take(protocol_name)),
                leader: None,
            };
            true
        }
    }
}

/// The rest of a batch. Offsets stay as they are, as in a batch that compaction went over.
fn without_records_before(offset: i64, batch: &deflated::Batch) -> Result<deflated::Batch> {
    let mut opened = inflated::Batch::try_from(batch)?;
    let first = opened.base_offset;
    opened.records.retain(|record| first + i64::from(record.offset_delta) >= offset);
    Ok(opened.try_into()?)
}
