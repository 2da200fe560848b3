//! The four databases, and what they have of a range of orders. Every statement reads a range, or a page, and no more.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::evidence::{Evidence, Part};
use super::ranges::Range;
use super::rows::{Noted, Order, Payment, Position, Reservation, Told, Unpublished};
use super::sources::Sources;
use super::sql::Snapshot;
use crate::service::Service;

/// Events that an inbox is asked for at once.
const ASKED: usize = 2_000;

/// Connections to those that can be read.
pub(super) struct Databases(BTreeMap<Service, Snapshot>);

impl Databases {
    /// Connects to all; what doesn't answer, or was never made, is noted in `away`.
    pub async fn connect(sources: &Sources, away: &mut BTreeMap<Part, String>) -> Self {
        let mut there = BTreeMap::new();
        for service in Service::WITH_OUTBOX {
            match connect(sources, service).await {
                Ok(snapshot) => drop(there.insert(service, snapshot)),
                Err(error) => drop(away.insert(Part::of(service), format!("{error:#}"))),
            }
        }
        Self(there)
    }

    /// Sees from now on, until it is closed, what each has at this moment.
    pub async fn open(&mut self) -> anyhow::Result<()> {
        for (service, snapshot) in &mut self.0 {
            snapshot.open().await.with_context(|| format!("the database of {}", service.name()))?;
        }
        Ok(())
    }

    pub async fn close(&mut self) -> anyhow::Result<()> {
        for (service, snapshot) in &mut self.0 {
            snapshot.close().await.with_context(|| format!("the database of {}", service.name()))?;
        }
        Ok(())
    }

    pub fn each(&mut self) -> impl Iterator<Item = (Service, &mut Snapshot)> {
        self.0.iter_mut().map(|(service, snapshot)| (*service, snapshot))
    }

    pub fn get(&mut self, service: Service) -> Option<&mut Snapshot> {
        self.0.get_mut(&service)
    }

    /// What there is of these orders, and what of theirs came into the outboxes after the rows that `read_before` names.
    pub async fn read(
        &mut self,
        range: Range,
        read_before: &BTreeMap<Service, i64>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<()> {
        self.open().await?;
        for (service, snapshot) in &mut self.0 {
            let after = read_before.get(service).copied().unwrap_or_default();
            let read = async {
                let newer = OUTBOX.replace("$after", &after.to_string()).replace("$range", &range.of_text("key"));
                for row in snapshot.rows::<Unpublished>(&newer).await? {
                    evidence.unpublished.insert((row.topic, row.key, row.sequence));
                }
                evidence.read(snapshot, *service, range).await
            };
            read.await.with_context(|| format!("the database of {}", service.name()))?;
        }
        self.close().await
    }

    /// How far each service has come in its topics, and since when its inbox is complete. This is asked before an inbox
    /// is: whatever a service has come past is in its inbox by then.
    pub async fn read_progress(&mut self, evidence: &mut Evidence) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Since {
            since: DateTime<Utc>,
        }
        for (service, snapshot) in &mut self.0 {
            snapshot.open().await?;
            let hearing = evidence.heard.entry(*service).or_default();
            hearing.since = snapshot.rows::<Since>(INBOX_SINCE).await?.first().map(|row| row.since);
            for row in snapshot.rows::<Position>(&POSITIONS.replace("$service", service.name())).await? {
                hearing.positions.insert((row.topic, row.partition), row.position);
            }
            snapshot.close().await?;
        }
        Ok(())
    }

    /// Asks each inbox which of its events it has.
    pub async fn read_inboxes(
        &mut self,
        asked: &BTreeMap<Service, Vec<Uuid>>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<()> {
        for (service, snapshot) in &mut self.0 {
            let Some(asked) = asked.get(service) else { continue };
            let mut found = HashSet::new();
            snapshot.open().await?;
            for slice in asked.chunks(ASKED) {
                let ids = slice.iter().map(|id| format!("'{id}'::uuid")).collect::<Vec<_>>().join(",");
                let query = NOTED.replace("$service", service.name()).replace("$ids", &ids);
                let noted =
                    snapshot.rows::<Noted>(&query).await.with_context(|| format!("{}: inbox", service.name()))?;
                found.extend(noted.into_iter().map(|row| row.event_id));
            }
            snapshot.close().await?;
            evidence.heard.entry(*service).or_default().events.extend(found);
        }
        Ok(())
    }
}

async fn connect(sources: &Sources, service: Service) -> anyhow::Result<Snapshot> {
    let mut snapshot = Snapshot::begin(sources.database(service)?).await?;
    ensure!(snapshot.is_migrated().await?, "it is empty: {} has never run on it", service.name());
    snapshot.close().await?;
    Ok(snapshot)
}

impl Evidence {
    async fn read(&mut self, snapshot: &mut Snapshot, service: Service, range: Range) -> anyhow::Result<()> {
        let of = |query: &str, column: &str| query.replace("$range", &range.of(column));
        match service {
            Service::OrderSvc => {
                for order in snapshot.rows::<Order>(&of(ORDERS, "id")).await? {
                    self.note_said("orders.v1", &order.id, order.said);
                    self.orders.insert(order.id.clone(), order);
                }
                self.history = snapshot.rows(&of(HISTORY, "order_id")).await?;
                let in_history = self.history.iter().map(|step| step.event_id);
                self.heard.entry(service).or_default().events.extend(in_history);
            }
            Service::StockSvc => {
                self.movements = snapshot.rows(&of(MOVEMENTS, "order_id")).await?;
                for known in snapshot.rows::<Reservation>(&of(RESERVATIONS, "order_id")).await? {
                    self.note_said("stock.v1", &known.order_id, known.stock_said);
                    self.note_said("shipments.v1", &known.order_id, known.shipments_said);
                    self.reservations.insert(known.order_id.clone(), known);
                }
                self.shipments = snapshot.rows(&of(SHIPMENTS, "order_id")).await?;
            }
            Service::PaymentSvc => {
                for payment in snapshot.rows::<Payment>(&of(PAYMENTS, "p.order_id")).await? {
                    self.note_said("payments.v1", &payment.order_id, payment.said);
                    self.payments.insert(payment.order_id.clone(), payment);
                }
                self.refunds = snapshot.rows(&of(REFUNDS, "p.order_id")).await?;
                self.ledger = snapshot.rows(&of(LEDGER, "p.order_id")).await?;
            }
            _ => {
                for told in snapshot.rows::<Told>(&of(TOLD, "order_id")).await? {
                    self.note_said("notifications.v1", &told.order_id, told.notifications_said);
                }
                self.mails = snapshot.rows(&of(MAILS, "order_id")).await?;
            }
        }
        Ok(())
    }

    fn note_said(&mut self, topic: &str, key: &str, said: u64) {
        self.said.insert((topic.to_owned(), key.to_owned()), said);
    }
}

const ORDERS: &str = "select id, status, (placed -> 'total' ->> 'amount')::bigint as total, placed -> 'lines' as lines,
    (select jsonb_object_agg(l ->> 'sku', (l -> 'unit_price' ->> 'amount')::bigint)
        from jsonb_array_elements(placed -> 'lines') l) as prices,
    facts ->> 'stock' as stock, (facts ->> 'captured')::boolean as captured, (placed ->> 'deadline')::timestamptz as deadline,
    waiting_since, said, recorded, history_pruned_at is not null as history_pruned from orders where $range";
const HISTORY: &str = "select order_id, position, event_id, status_before, status from order_history where $range";
const MOVEMENTS: &str = "select id, sku, kind, quantity, order_id from movements where order_id is not null and $range";
const RESERVATIONS: &str =
    "select order_id, reservation, expires_at, lines, updated_at, stock_said, shipments_said from orders where $range";
const SHIPMENTS: &str = "select id, order_id, status, lines, returned, split_into <> '[]' as split,
        greatest(delivered_at, returned_at) as arrived_at
    from shipments where $range";
const PAYMENTS: &str = "select order_id, payment_id, amount, captured, refunded, updated_at, said,
    (select min(created_at) from gateway_calls c where c.payment_id = p.payment_id and finished_at is null) as in_flight_since
    from payments p where $range";
/// `offset 0` has each payment's rows found by its index, whatever PostgreSQL thinks of the range.
const REFUNDS: &str = "select r.* from payments p cross join lateral (select refund_id, payment_id, amount, state
        from refunds where refunds.payment_id = p.payment_id offset 0) r where $range";
const LEDGER: &str = "select p.order_id, l.* from payments p cross join lateral (select operation, amount, key
        from ledger where ledger.payment_id = p.payment_id offset 0) l where $range";
const TOLD: &str = "select order_id, notifications_said from orders where $range";
const MAILS: &str =
    "select id, order_id, template, channel, event_id, status, created_at, due_at from notifications where $range";
const NOTED: &str = "select event_id from inbox where consumer = '$service' and event_id = any(array[$ids])";
const POSITIONS: &str = "select topic, partition, position from consumer_progress where consumer = '$service'";
/// Computed as the service's consumer does.
const INBOX_SINCE: &str =
    "select greatest(now() - coalesce(reach, interval '30 days'), whole_since) as since from inbox_state";
const OUTBOX: &str = "select topic, key, (select h ->> 1 from json_array_elements(headers) h
    where h ->> 0 = 'ce_sequence')::bigint as sequence from outbox where id > $after and $range";
