//! Everything that is known of one order, wherever it is.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use order_svc::domain::Facts;
use serde::Deserialize;
use shared_events::CancelReason;
use uuid::Uuid;

use crate::audit::Sources;
use crate::audit::sql::Snapshot;
use crate::cluster::Cluster;
use crate::records::{self, Record};
use crate::service::Service;
use crate::stuck::{self, Away, Waiting};

/// How long the brokers may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(super) struct Report {
    pub now: DateTime<Utc>,
    pub order: Option<Order>,
    pub waiting_for: Option<Waiting>,
    /// In the order in which they were made.
    pub events: Vec<Event>,
    pub calls: Vec<Call>,
    pub refunds: Vec<FailedRefund>,
    pub mails: Vec<Mail>,
    pub timers: Vec<Timer>,
    pub stuck: Vec<Stuck>,
    /// What keeps it, or something beside it, as `quadrille stuck` tells it.
    pub causes: Vec<String>,
    /// What could not be looked at, and why.
    pub away: Vec<Away>,
}

#[derive(Debug)]
pub(super) struct Event {
    pub record: Record,
    /// The consumer groups whose inboxes have it.
    pub heard_by: Vec<&'static str>,
    /// Why order-svc changed nothing.
    pub ignored: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub status: String,
    pub reason: Option<String>,
    pub stock: Option<String>,
    pub payment: Option<String>,
    pub shipment: Option<String>,
    facts: serde_json::Value,
    waiting_for: Option<String>,
    waiting_from: Option<String>,
    waiting_since: Option<DateTime<Utc>>,
    pub placed_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Order {
    /// What it waits for, as its row has it.
    fn waiting_for(&self, id: Uuid) -> Option<Waiting> {
        let (fact, from) = (self.waiting_for.clone()?, self.waiting_from.clone()?);
        Some(Waiting { id, fact, from, since: self.waiting_since? })
    }

    /// Why it is being or was cancelled, as far as goods or payment are to blame: each in a line.
    pub fn failure(&self) -> Vec<String> {
        let facts = serde_json::from_value::<Facts>(self.facts.clone()).ok();
        let Some((facts, reason)) = facts.zip(self.reason.as_deref().and_then(CancelReason::from_name)) else {
            return Vec::new();
        };
        let short = facts.shortages_of(reason).iter();
        let mut lines: Vec<_> =
            short.map(|line| format!("{}: {} wanted, {} left", line.sku, line.requested, line.available)).collect();
        lines.extend(facts.payment_code_of(reason).map(|code| format!("the payment came to nothing with {code}")));
        lines
    }
}

/// What order-svc says that it waits for, over HTTP.
#[derive(Debug, Deserialize)]
struct WaitingFor {
    fact: String,
    from: String,
    since: DateTime<Utc>,
}

impl WaitingFor {
    fn of(self, id: Uuid) -> Waiting {
        Waiting { id, fact: self.fact, from: self.from, since: self.since }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub operation: String,
    pub tries: i32,
    pub created_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
}

/// A refund that the gateway has refused, or that came back, as long as nothing was given back since that makes up for it.
#[derive(Debug, Deserialize)]
pub(super) struct FailedRefund {
    pub payment_id: Uuid,
    pub refund_id: Uuid,
    pub amount: i64,
    pub currency: String,
    pub since: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mail {
    pub template: String,
    pub channel: String,
    pub status: String,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub error_code: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
    pub due_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Timer {
    pub service: String,
    pub kind: String,
    pub due_at: DateTime<Utc>,
}

/// An event that went nowhere yet.
#[derive(Debug, Deserialize)]
pub(super) struct Stuck {
    pub service: String,
    /// `outbox`, `outbox_parked` or `dead_letters`.
    pub place: String,
    pub event: String,
    pub since: DateTime<Utc>,
    pub why: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Heard {
    event_id: String,
}

#[derive(Debug, Deserialize)]
struct Ignored {
    event_id: String,
    ignored: String,
}

impl Report {
    /// Reads topics first: who has heard what is in them is asked after. What doesn't answer is noted, and the rest is read.
    pub async fn collect(sources: &Sources, id: Uuid) -> Self {
        let mut all = Self { now: Utc::now(), ..Self::default() };
        let (records, facts) = tokio::join!(events_of(&sources.cluster, id), stuck::gather(sources));
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                all.away.push(Away { what: "the topics".to_owned(), why: format!("{error:#}") });
                Vec::new()
            }
        };
        let mut heard = BTreeMap::<String, Vec<&'static str>>::new();
        let mut ignored = BTreeMap::new();
        for service in Service::WITH_OUTBOX {
            let read = async {
                let mut snapshot = Snapshot::begin(sources.database(service)?).await?;
                if !snapshot.is_migrated().await? {
                    bail!("it is empty: {} has never run on it", service.name());
                }
                all.read(&mut snapshot, service, id).await?;
                for row in snapshot.rows::<Heard>(&heard_of(&records)).await? {
                    heard.entry(row.event_id).or_default().push(service.name());
                }
                if service == Service::OrderSvc {
                    ignored = ignored_of(&mut snapshot, id).await?;
                }
                snapshot.end().await
            };
            if let Err(error) = read.await {
                all.away.push(Away { what: format!("the database of {}", service.name()), why: format!("{error:#}") });
            }
        }
        let events = records.into_iter().map(|record| Event {
            heard_by: heard.remove(&record.id).unwrap_or_default(),
            ignored: ignored.remove(&record.id),
            record,
        });
        all.events = events.collect();
        all.waiting_for = match all.order.as_ref().map(|order| order.waiting_for(id)) {
            Some(known @ Some(_)) => known,
            _ => sources.order(id).await.and_then(|order| {
                let waiting_for = serde_json::from_value::<WaitingFor>(order["waiting_for"].clone()).ok()?;
                Some(waiting_for.of(id))
            }),
        };
        // where order-svc tells nothing of it, everything that may keep it is told
        let unknown = || Waiting { id, fact: "?".to_owned(), from: "?".to_owned(), since: all.now };
        let waiting = all.waiting_for.clone().or_else(|| all.order.is_none().then(unknown));
        all.causes = stuck::lines_of(&facts, id, waiting.as_ref());
        all
    }

    /// Whether nobody knows the order.
    pub fn is_empty(&self) -> bool {
        self.order.is_none() && self.events.is_empty() && self.stuck.is_empty()
    }

    async fn read(&mut self, snapshot: &mut Snapshot, service: Service, id: Uuid) -> anyhow::Result<()> {
        let of_order = |query: &str| query.replace("$order", &id.to_string()).replace("$service", service.name());
        match service {
            Service::OrderSvc => self.order = snapshot.rows(&of_order(ORDER)).await?.pop(),
            Service::PaymentSvc => {
                self.calls = snapshot.rows(&of_order(CALLS)).await?;
                self.refunds = snapshot.rows(&of_order(FAILED_REFUNDS)).await?;
            }
            Service::NotificationSvc => self.mails = snapshot.rows(&of_order(MAILS)).await?,
            _ => {}
        }
        self.timers.extend(snapshot.rows::<Timer>(&of_order(TIMERS)).await?);
        self.stuck.extend(snapshot.rows::<Stuck>(&of_order(STUCK)).await?);
        Ok(())
    }
}

/// By event, why order-svc changed nothing when it heard it.
async fn ignored_of(snapshot: &mut Snapshot, id: Uuid) -> anyhow::Result<BTreeMap<String, String>> {
    let rows = snapshot
        .rows::<Ignored>(&format!(
            "select event_id, ignored from order_history where order_id = '{id}' and ignored is not null"
        ))
        .await?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.ignored)).collect())
}

/// An order's events, each once, as they were made. Fails if the brokers don't answer.
pub(crate) async fn events_of(cluster: &Cluster, id: Uuid) -> anyhow::Result<Vec<Record>> {
    let cluster = cluster.clone();
    let mut found = tokio::task::spawn_blocking(move || {
        let connection = cluster.connect("quadrille-order")?;
        connection.metadata(PATIENCE)?;
        let places = records::places(&connection, &records::OF_ORDERS)?;
        let (key, mut found) = (id.to_string(), Vec::<Record>::new());
        records::each_kept(&connection, &places, |message| {
            use rdkafka::Message;
            if message.key() == Some(key.as_bytes()) {
                let record = Record::of(message)?;
                if !found.iter().any(|known| known.id == record.id) {
                    found.push(record);
                }
            }
            Ok(())
        })?;
        anyhow::Ok(found)
    })
    .await??;
    found.sort_by(|a, b| (a.made_at, &a.topic, a.sequence).cmp(&(b.made_at, &b.topic, b.sequence)));
    Ok(found)
}

fn heard_of(records: &[Record]) -> String {
    // an id that is none can't be in an inbox
    let ids = records.iter().filter_map(|record| record.id.parse::<Uuid>().ok());
    let ids = ids.map(|id| format!("'{id}'::uuid")).collect::<Vec<_>>().join(", ");
    format!("select event_id from inbox where event_id = any(array[{ids}]::uuid[])")
}

const ORDER: &str = "select status, reason, facts ->> 'stock' as stock, facts ->> 'payment' as payment,
    facts ->> 'shipment' as shipment, facts, waiting_for, waiting_from, waiting_since, placed_at, updated_at from orders where id = '$order'";
const CALLS: &str = "select operation, tries, created_at, due_at, finished_at, outcome, error_code, error, failing_since from gateway_calls
    where order_id = '$order' order by created_at";
const FAILED_REFUNDS: &str = "with of_order as (select p.currency, p.captured, p.refunded, r.* from refunds r
        join payments p using (payment_id) where p.order_id = '$order'),
    failed as (select * from of_order where state = 'failed'),
    made_up as (select coalesce(sum(amount), 0) as amount from of_order
        where state = 'done' and created_at > (select min(updated_at) from failed))
    select payment_id, refund_id, amount, currency, updated_at as since from failed
    where captured > refunded and (select sum(amount) from failed) > (select amount from made_up) order by since";
const MAILS: &str =
    "select template, channel, status, attempts, last_error, error_code, failing_since, due_at from notifications
    where order_id = '$order' order by happened_at, id";
const TIMERS: &str = "select '$service' as service, kind, due_at from timers where key = '$order' order by due_at";
const STUCK: &str =
    "select '$service' as service, 'outbox' as place, created_at as since, 'no relay has published it' as why,
        (select h ->> 1 from json_array_elements(headers) h where h ->> 0 = 'ce_type') as event
        from outbox where key = '$order'
    union all select '$service', 'outbox_parked', parked_at, reason,
        (select h ->> 1 from json_array_elements(headers) h where h ->> 0 = 'ce_type')
        from outbox_parked where key = '$order'
    union all select '$service', 'dead_letters', buried_at, error, coalesce(event_type, '?')
        from dead_letters where key = '$order'
    order by since";
