//! What databases, the gateway's journal and topics say at one time, or nearly: services go on meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use chrono::{DateTime, Utc};

use super::{
    rows::{
        Announced, Effect, Hearing, Level, Lying, Mail, Movement, Noted, Order, Overdue, Payment, Position, Refund,
        Reservation, Shipment, Step, Told, Unpublished,
    },
    sources::Sources,
    sql::Snapshot,
};
use crate::{
    records::{self, Record},
    service::Service,
};

/// A key of a topic.
pub(super) type Place = (String, String);

/// Where evidence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Orders,
    Stock,
    Payments,
    Mails,
    Gateway,
    Topics,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Orders => "the database of order-svc",
            Self::Stock => "the database of stock-svc",
            Self::Payments => "the database of payment-svc",
            Self::Mails => "the database of notification-svc",
            Self::Gateway => "the gateway's journal",
            Self::Topics => "the topics",
        }
    }

    const fn of(service: Service) -> Self {
        match service {
            Service::OrderSvc => Self::Orders,
            Service::StockSvc => Self::Stock,
            Service::PaymentSvc => Self::Payments,
            _ => Self::Mails,
        }
    }
}

/// Everything that is looked at.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub now: DateTime<Utc>,
    /// What could not be read, and why.
    pub away: BTreeMap<Part, String>,
    pub orders: BTreeMap<String, Order>,
    pub history: Vec<Step>,
    /// Orders that a stored answer names and that aren't there.
    pub lost_orders: Vec<String>,
    pub levels: BTreeMap<String, Level>,
    pub movements: Vec<Movement>,
    pub reservations: BTreeMap<String, Reservation>,
    pub shipments: Vec<Shipment>,
    pub payments: BTreeMap<String, Payment>,
    pub refunds: Vec<Refund>,
    pub ledger: Vec<Effect>,
    /// What the gateway itself has noted; nothing where it can't be asked.
    pub journal: Option<Vec<Effect>>,
    pub mails: Vec<Mail>,
    /// By the key of a topic, how many events its service has said.
    pub said: BTreeMap<Place, u64>,
    /// By SKU, how many events stock-svc has said on `products.v1`.
    pub products_said: BTreeMap<String, u64>,
    /// What is committed and not published yet, or parked.
    pub unpublished: BTreeSet<(String, String, u64)>,
    /// Timers that were due a while ago.
    pub overdue: Vec<Overdue>,
    /// What each service has heard of the others.
    pub heard: BTreeMap<Service, Hearing>,
    /// Dead letters, parked keys, parked rows of outboxes.
    pub lying: Vec<Lying>,
    /// Each topic's records in the order of their partitions.
    pub records: Vec<Record>,
    /// The records of `products.v1`, which is compacted: the newest event of each product is there, older ones may be.
    pub products: Vec<Record>,
    /// Whether topics still have all that was ever in them.
    pub topics_are_whole: bool,
    /// Whether archives, from which topics are rebuilt, have let go of what orders had said.
    pub archives_are_short: bool,
}

impl Evidence {
    /// Reads everything, databases before topics: what is committed by then is in its topic or in the outbox. What doesn't
    /// answer, or was never made, is noted, and the rest is read.
    pub async fn collect(sources: &Sources) -> Self {
        let mut all = Self { now: Utc::now(), ..Self::default() };
        for service in Service::WITH_OUTBOX {
            if let Err(error) = all.read(sources, service).await {
                all.away.insert(Part::of(service), format!("{error:#}"));
            }
        }
        match sources.journal().await {
            Ok(journal) => all.journal = journal,
            Err(error) => drop(all.away.insert(Part::Gateway, format!("{error:#}"))),
        }
        if let Err(error) = all.read_topics(sources).await {
            all.away.insert(Part::Topics, format!("{error:#}"));
        }
        all
    }

    /// Which of these parts could not be read, and why; nothing where all were.
    pub fn unread(&self, needed: &[Part]) -> Option<String> {
        let unread: Vec<_> = self
            .away
            .iter()
            .filter(|(part, _)| needed.contains(part))
            .map(|(part, why)| format!("{} can't be read ({why})", part.name()))
            .collect();
        (!unread.is_empty()).then(|| unread.join("; "))
    }

    async fn read_topics(&mut self, sources: &Sources) -> anyhow::Result<()> {
        let cluster = sources.cluster.clone();
        (self.records, self.products, self.topics_are_whole) = tokio::task::spawn_blocking(move || {
            let connection = cluster.connect("quadrille-audit")?;
            let read = |topics: &[&str]| {
                let places = records::places(&connection, topics)?;
                let mut found = Vec::new();
                let whole = records::each_kept(&connection, &places, |message| {
                    found.push(Record::of(message)?);
                    Ok(())
                })?;
                anyhow::Ok((found, whole))
            };
            let (of_orders, whole) = read(&records::OF_ORDERS)?;
            let (products, _) = read(&[records::OF_PRODUCTS])?;
            anyhow::Ok((of_orders, products, whole))
        })
        .await??;
        self.topics_are_whole &= !self.archives_are_short;
        Ok(())
    }

    async fn read(&mut self, sources: &Sources, service: Service) -> anyhow::Result<()> {
        let mut snapshot = Snapshot::begin(sources.database(service)?).await?;
        ensure!(snapshot.is_migrated().await?, "it is empty: {} has never run on it", service.name());
        self.read_heard(&mut snapshot, service).await?;
        match service {
            Service::OrderSvc => self.read_orders(&mut snapshot).await?,
            Service::StockSvc => self.read_stock(&mut snapshot).await?,
            Service::PaymentSvc => self.read_payments(&mut snapshot).await?,
            _ => self.read_mails(&mut snapshot).await?,
        }
        let name = service.name();
        for row in snapshot.rows::<Unpublished>(UNPUBLISHED).await? {
            self.unpublished.insert((row.topic, row.key, row.sequence));
        }
        self.overdue.extend(snapshot.rows::<Overdue>(&OVERDUE.replace("$service", name)).await?);
        self.lying.extend(snapshot.rows::<Lying>(&LYING.replace("$service", name)).await?);
        snapshot.end().await
    }

    async fn read_heard(&mut self, snapshot: &mut Snapshot, service: Service) -> anyhow::Result<()> {
        let name = service.name();
        let hearing = self.heard.entry(service).or_default();
        let noted = snapshot.rows::<Noted>(&NOTED.replace("$service", name)).await?;
        hearing.events.extend(noted.into_iter().map(|row| row.event_id));
        for row in snapshot.rows::<Position>(&POSITIONS.replace("$service", name)).await? {
            hearing.positions.insert((row.topic, row.partition), row.position);
        }
        Ok(())
    }

    async fn read_orders(&mut self, snapshot: &mut Snapshot) -> anyhow::Result<()> {
        for order in snapshot.rows::<Order>(ORDERS).await? {
            self.note_said("orders.v1", &order.id, order.said);
            self.orders.insert(order.id.clone(), order);
        }
        self.history = snapshot.rows(HISTORY).await?;
        let in_history = self.history.iter().map(|step| step.event_id);
        self.heard.entry(Service::OrderSvc).or_default().events.extend(in_history);
        let short = "select exists (select from orders where placed_at < (select whole_since from outbox_archive_state)) as short";
        self.archives_are_short = snapshot.rows::<BTreeMap<String, bool>>(short).await?.iter().any(|row| row["short"]);
        let lost = "select distinct order_id from idempotency_keys where order_id not in (select id from orders)";
        self.lost_orders = snapshot
            .rows::<BTreeMap<String, String>>(lost)
            .await?
            .into_iter()
            .flat_map(BTreeMap::into_values)
            .collect();
        Ok(())
    }

    async fn read_stock(&mut self, snapshot: &mut Snapshot) -> anyhow::Result<()> {
        let levels = snapshot.rows::<Level>("select sku, on_hand, held from stock_levels").await?;
        self.levels = levels.into_iter().map(|level| (level.sku.clone(), level)).collect();
        self.movements = snapshot.rows("select id, sku, kind, quantity, order_id from movements").await?;
        for known in snapshot.rows::<Reservation>(RESERVATIONS).await? {
            self.note_said("stock.v1", &known.order_id, known.stock_said);
            self.note_said("shipments.v1", &known.order_id, known.shipments_said);
            self.reservations.insert(known.order_id.clone(), known);
        }
        self.shipments = snapshot.rows(SHIPMENTS).await?;
        for product in snapshot.rows::<Announced>("select sku, products_said from products").await? {
            self.products_said.insert(product.sku, product.products_said);
        }
        Ok(())
    }

    async fn read_payments(&mut self, snapshot: &mut Snapshot) -> anyhow::Result<()> {
        for payment in snapshot.rows::<Payment>(PAYMENTS).await? {
            self.note_said("payments.v1", &payment.order_id, payment.said);
            self.payments.insert(payment.order_id.clone(), payment);
        }
        self.refunds = snapshot.rows("select refund_id, payment_id, amount, state from refunds").await?;
        self.ledger = snapshot.rows(LEDGER).await?;
        Ok(())
    }

    async fn read_mails(&mut self, snapshot: &mut Snapshot) -> anyhow::Result<()> {
        for told in snapshot.rows::<Told>("select order_id, notifications_said from orders").await? {
            self.note_said("notifications.v1", &told.order_id, told.notifications_said);
        }
        self.mails = snapshot.rows(MAILS).await?;
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
    waiting_since, said, recorded, history_pruned_at is not null as history_pruned from orders";
const HISTORY: &str = "select order_id, position, event_id, status_before, status from order_history";
const RESERVATIONS: &str =
    "select order_id, reservation, expires_at, lines, updated_at, stock_said, shipments_said from orders";
const SHIPMENTS: &str = "select id, order_id, status, lines, returned, split_into <> '[]' as split,
        greatest(delivered_at, returned_at) as arrived_at
    from shipments";
const PAYMENTS: &str = "select order_id, payment_id, amount, captured, refunded, updated_at, said,
    (select min(created_at) from gateway_calls c where c.payment_id = p.payment_id and finished_at is null) as in_flight_since
    from payments p";
const LEDGER: &str = "select p.order_id, l.operation, l.amount, l.key from ledger l join payments p using (payment_id)";
const MAILS: &str = "select id, order_id, template, event_id, status, created_at, due_at from notifications";
const NOTED: &str = "select event_id from inbox where consumer = '$service'";
const POSITIONS: &str = "select topic, partition, position from consumer_progress where consumer = '$service'";
const UNPUBLISHED: &str = "select topic, key, (select h ->> 1 from json_array_elements(headers) h
    where h ->> 0 = 'ce_sequence')::bigint as sequence
    from (select topic, key, headers from outbox union all select topic, key, headers from outbox_parked) r
    where topic in ('orders.v1', 'stock.v1', 'payments.v1', 'shipments.v1', 'notifications.v1', 'products.v1')";
/// A timer waits for what its consumer is behind, and then is tried again: so not at once.
const OVERDUE: &str = "select '$service' as service, kind, key, due_at from timers
    where due_at < now() - interval '2 minutes'";
const LYING: &str = "select '$service' as service, 'dead_letters' as table, key, topic, error as why from dead_letters
    union all select '$service', 'parked_keys', key, topic, null from parked_keys
    union all select '$service', 'outbox_parked', key, topic, reason from outbox_parked";
