//! What lies outside of the orders' own rows and has no order's id to be found by: rows of outboxes, letters, timers,
//! stored answers, announcements. They are read page by page, and set aside in the bucket of their key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::databases::Databases;
use super::evidence::Evidence;
use super::ranges::Range;
use super::rows::{Announced, Lying, Overdue, Unpublished};
use super::spill::Spill;
use super::sql::Snapshot;
use crate::service::Service;

/// Stored answers that one statement compares with the orders.
const ANSWERS: usize = 5_000;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Note {
    Unpublished(Unpublished),
    Overdue(Overdue),
    Lying(Lying),
    /// An order that a stored answer names and that isn't there.
    Lost(String),
    Announced(Announced),
}

/// Notes, and the last row of each outbox that is among them.
pub(super) struct Notes {
    spill: Spill<Note>,
    pub read_before: BTreeMap<Service, i64>,
}

impl Notes {
    /// Reads all that bears a key for which `bucket` has a place; of stored answers, those that name an order of `range`.
    pub async fn of_orders(
        databases: &mut Databases,
        range: Range,
        bucket: impl Fn(&str) -> Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut notes = Self { spill: Spill::new()?, read_before: BTreeMap::new() };
        for (service, snapshot) in databases.each() {
            snapshot.open().await?;
            notes.outbox(snapshot, service, &bucket).await?;
            let (name, spill) = (service.name(), &mut notes.spill);
            let overdue = OVERDUE.replace("$service", name);
            snapshot.each(&overdue, |row: Overdue| add(spill, bucket(&row.key), Note::Overdue(row))).await?;
            for lying in [DEAD_LETTERS, PARKED_KEYS, PARKED_ROWS] {
                let lying = lying.replace("$service", name);
                snapshot.each(&lying, |row: Lying| add(spill, bucket(&row.key), Note::Lying(row))).await?;
            }
            if service == Service::OrderSvc {
                notes.lost(snapshot, range, &bucket).await?;
            }
            snapshot.close().await?;
        }
        Ok(notes)
    }

    /// Reads how often each product and each customer was announced, and which announcements wait in an outbox.
    pub async fn of_present(databases: &mut Databases, bucket: impl Fn(&str) -> usize) -> anyhow::Result<Self> {
        let mut notes = Self { spill: Spill::new()?, read_before: BTreeMap::new() };
        for (service, announced) in [(Service::StockSvc, PRODUCTS), (Service::OrderSvc, CUSTOMERS)] {
            let Some(snapshot) = databases.get(service) else { continue };
            snapshot.open().await?;
            notes.outbox(snapshot, service, &|key| Some(bucket(key))).await?;
            let spill = &mut notes.spill;
            snapshot.each(announced, |row: Announced| spill.add(bucket(&row.key), &Note::Announced(row))).await?;
            snapshot.close().await?;
        }
        Ok(notes)
    }

    async fn outbox(
        &mut self,
        snapshot: &mut Snapshot,
        service: Service,
        bucket: &impl Fn(&str) -> Option<usize>,
    ) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Row {
            id: i64,
            #[serde(flatten)]
            row: Unpublished,
        }
        let (mut last, spill) = (0, &mut self.spill);
        let mut row_of = |row: Unpublished| add(spill, bucket(&row.key), Note::Unpublished(row));
        snapshot
            .each(&UNPUBLISHED.replace("$table", "outbox"), |Row { id, row }| {
                last = last.max(id);
                row_of(row)
            })
            .await?;
        snapshot.each(&UNPUBLISHED.replace("$table", "outbox_parked"), |Row { row, .. }| row_of(row)).await?;
        self.read_before.insert(service, last);
        Ok(())
    }

    /// Most answers name an order that exists, so they are walked by their keys: a page of lost ones might read them
    /// all.
    async fn lost(
        &mut self,
        snapshot: &mut Snapshot,
        range: Range,
        bucket: &impl Fn(&str) -> Option<usize>,
    ) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answers {
            last: Option<String>,
            lost: Option<Vec<Uuid>>,
        }
        let mut after = String::new();
        loop {
            let (limit, key) = (ANSWERS.to_string(), after.replace('\'', "''"));
            let query = LOST.replace("$limit", &limit).replace("$range", &range.of("order_id")).replace("$after", &key);
            let Some(Answers { last, lost }) = snapshot.rows(&query).await?.pop() else { return Ok(()) };
            for order in lost.into_iter().flatten().map(|order| order.to_string()) {
                add(&mut self.spill, bucket(&order), Note::Lost(order))?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// Adds what is in a bucket to the evidence.
    pub fn read(&mut self, bucket: usize, evidence: &mut Evidence) -> anyhow::Result<()> {
        self.spill.each(bucket, |note| {
            match note {
                Note::Unpublished(row) => drop(evidence.unpublished.insert((row.topic, row.key, row.sequence))),
                Note::Overdue(timer) => evidence.overdue.push(timer),
                Note::Lying(lying) => evidence.lying.push(lying),
                Note::Lost(order) => drop(evidence.lost_orders.insert(order)),
                Note::Announced(Announced { topic, key, said }) => {
                    evidence.present_said.insert((topic, key), said);
                }
            }
            Ok(())
        })
    }
}

fn add(spill: &mut Spill<Note>, bucket: Option<usize>, note: Note) -> anyhow::Result<()> {
    bucket.map_or(Ok(()), |bucket| spill.add(bucket, &note))
}

const UNPUBLISHED: &str = "select id, topic, key, (select h ->> 1 from json_array_elements(headers) h
    where h ->> 0 = 'ce_sequence')::bigint as sequence from $table
    where topic in ('orders.v1', 'stock.v1', 'payments.v1', 'shipments.v1', 'notifications.v1', 'products.v1',
        'customers.v1')";
const PRODUCTS: &str = "select 'products.v1' as topic, sku as key, products_said as said from products";
const CUSTOMERS: &str = "select 'customers.v1' as topic, id as key, last_sequence as said from customers";
/// A timer waits for what its consumer is behind, and then is tried again: so not at once.
const OVERDUE: &str = "select '$service' as service, kind, key, due_at from timers
    where due_at < now() - interval '2 minutes'";
const DEAD_LETTERS: &str =
    "select '$service' as service, 'dead_letters' as table, key, topic, error as why from dead_letters";
const PARKED_KEYS: &str =
    "select '$service' as service, 'parked_keys' as table, key, topic, null as why from parked_keys";
const PARKED_ROWS: &str =
    "select '$service' as service, 'outbox_parked' as table, key, topic, reason as why from outbox_parked";
const LOST: &str = "with page as materialized
        (select key, order_id from idempotency_keys where key > '$after' order by key limit $limit)
    select (select max(key) from page) as last, (select array_agg(order_id) from page
        where $range and not exists (select from orders where orders.id = page.order_id)) as lost";
