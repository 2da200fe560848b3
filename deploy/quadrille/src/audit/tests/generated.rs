//! A shop of many orders, as its databases, its topics and its gateway have it once all is over: of each twenty orders one was
//! completed, the others had nothing to be had and were cancelled.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use actix_web::web::{self, Data, Query};
use actix_web::{App, HttpResponse, HttpServer};
use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use serde_json::{Value, json};
use service_kit::{kafka::Brokers, testing::TestDb};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::audit::Sources;
use crate::audit::topics::Topics;
use crate::cluster::Cluster;
use crate::records::Record;
use crate::service::Service;

pub const COMPLETED_EACH: u64 = 20;
pub const PRODUCTS: u64 = 1_500;

/// Made by SQL and by arithmetic.
pub struct Generated {
    pub orders: u64,
    /// In milliseconds, when the first was placed.
    pub began: u64,
    databases: BTreeMap<Service, TestDb>,
    /// Lines of the gateway's journal.
    pub journal: Vec<Value>,
}

impl Generated {
    pub async fn of(orders: u64) -> Self {
        let began = (Utc::now() - TimeDelta::days(1)).timestamp_millis().unsigned_abs();
        let sources = [
            (Service::OrderSvc, order_svc::migrations(), ORDER_SVC),
            (Service::StockSvc, stock_svc::migrations(), STOCK_SVC),
            (Service::PaymentSvc, payment_svc::migrations(), PAYMENT_SVC),
            (Service::NotificationSvc, notification_svc::migrations(), NOTIFICATION_SVC),
        ];
        let mut databases = BTreeMap::new();
        for (service, migrations, rows) in sources {
            let db = TestDb::new(&migrations).await;
            let sql =
                [IDS, rows].concat().replace("$began", &began.to_string()).replace("$last", &(orders - 1).to_string());
            let sql = sql.replace("$each", &COMPLETED_EACH.to_string()).replace("$products", &PRODUCTS.to_string());
            db.conn().await.batch_execute(&sql).await.unwrap();
            databases.insert(service, db);
        }
        let mut all = Self { orders, began, databases, journal: vec![] };
        all.journal = (0..orders)
            .filter(|order| order % COMPLETED_EACH == 0)
            .flat_map(|order| [all.line(order, "authorise"), all.line(order, "capture")])
            .collect();
        all
    }

    pub async fn run(&self, service: Service, sql: &str) {
        self.databases[&service].conn().await.batch_execute(sql).await.unwrap();
    }

    pub fn id(&self, order: u64) -> Uuid {
        self.uuid(order, 0, 0x8000)
    }

    pub fn event(&self, order: u64, kind: u64) -> Uuid {
        self.uuid(order, kind, 0x8001)
    }

    fn uuid(&self, order: u64, kind: u64, what: u64) -> Uuid {
        Uuid::from_u64_pair((self.began + order) << 16 | 0x7000 | kind, what << 48 | order)
    }

    pub fn line(&self, order: u64, operation: &str) -> Value {
        let (id, key) = (self.id(order), format!("{operation}-{order}"));
        json!({"order_id": id, "operation": operation, "amount": 500, "currency": "EUR", "idempotency_key": key})
    }

    /// Where an audit finds it, but for its topics. The gateway answers as long as the token lives.
    pub fn sources(&self, until: &CancellationToken) -> Sources {
        let urls = self.databases.iter().map(|(service, db)| (*service, db.url.clone())).collect();
        let gateway = serve(self.journal.clone(), until.clone());
        Sources::of_run(Cluster(Brokers::from("127.0.0.1:1")), urls, gateway)
    }

    /// Its topics, without these events.
    pub fn topics(&self, lost: &[(u64, u64)]) -> FakeTopics {
        let lost = lost.iter().copied().collect();
        FakeTopics { orders: self.orders, began: self.began, lost, readings: 0, at_reading: Box::new(|_| {}) }
    }
}

/// Topics by arithmetic: the whole history at the first reading, nothing after it.
pub struct FakeTopics {
    orders: u64,
    began: u64,
    lost: BTreeSet<(u64, u64)>,
    readings: usize,
    /// Told before each reading which one it is.
    pub at_reading: Box<dyn FnMut(usize) + Send>,
}

const SAID_OF_COMPLETED: [(u64, &str, u64, &str); 14] = [
    (1, "orders.v1", 1, "order.placed.v1"),
    (2, "orders.v1", 2, "order.confirmed.v1"),
    (3, "orders.v1", 3, "order.completed.v1"),
    (4, "stock.v1", 1, "stock.reserved.v1"),
    (5, "stock.v1", 2, "stock.committed.v1"),
    (6, "payments.v1", 1, "payment.authorized.v1"),
    (7, "payments.v1", 2, "payment.captured.v1"),
    (8, "shipments.v1", 1, "shipment.created.v1"),
    (9, "shipments.v1", 2, "shipment.dispatched.v1"),
    (10, "shipments.v1", 3, "shipment.delivered.v1"),
    (11, "notifications.v1", 1, "notification.sent.v1"),
    (12, "notifications.v1", 2, "notification.sent.v1"),
    (13, "notifications.v1", 3, "notification.sent.v1"),
    (14, "notifications.v1", 4, "notification.sent.v1"),
];
const SAID_OF_CANCELLED: [(u64, &str, u64, &str); 3] = [
    (1, "orders.v1", 1, "order.placed.v1"),
    (2, "orders.v1", 2, "order.cancelled.v1"),
    (4, "stock.v1", 1, "stock.rejected.v1"),
];

impl Topics for FakeTopics {
    fn read(&mut self, show: &mut dyn FnMut(Record) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.readings += 1;
        (self.at_reading)(self.readings);
        if self.readings > 1 {
            return Ok(());
        }
        let ids = |order: u64, kind: u64, what: u64| {
            Uuid::from_u64_pair((self.began + order) << 16 | 0x7000 | kind, what << 48 | order)
        };
        for order in 0..self.orders {
            let key = ids(order, 0, 0x8000).to_string();
            let said = if order % COMPLETED_EACH == 0 { &SAID_OF_COMPLETED[..] } else { &SAID_OF_CANCELLED[..] };
            for (kind, topic, sequence, event_type) in said.iter().filter(|said| !self.lost.contains(&(order, said.0)))
            {
                let id = ids(order, *kind, 0x8001).to_string();
                show(record(topic, &key, id, event_type, *sequence, self.began + order))?;
            }
        }
        for product in 0..PRODUCTS {
            let id = Uuid::now_v7().to_string();
            show(record("products.v1", &format!("SKU-{product}"), id, "product.added.v1", 1, self.began))?;
        }
        for customer in ["c-1", "c-2"] {
            let id = Uuid::now_v7().to_string();
            show(record("customers.v1", customer, id, "customer.changed.v1", 1, self.began))?;
        }
        Ok(())
    }

    fn waiting(&mut self) -> anyhow::Result<u64> {
        Ok(0)
    }

    fn are_whole(&self) -> bool {
        true
    }
}

fn record(topic: &str, key: &str, id: String, event_type: &str, sequence: u64, at: u64) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: 0,
        offset: 0,
        sent_at: DateTime::from_timestamp_millis(at.cast_signed()),
        key: key.to_owned(),
        id,
        event_type: event_type.to_owned(),
        sequence,
        source: String::new(),
        made_at: None,
        caused_by: None,
    }
}

/// The sandbox's journal, page by page.
fn serve(lines: Vec<Value>, until: CancellationToken) -> String {
    async fn page(lines: Data<Vec<Value>>, query: Query<BTreeMap<String, String>>) -> HttpResponse {
        let number = |name: &str| query.get(name).and_then(|number| number.parse::<usize>().ok());
        let (from, limit) = (number("cursor").unwrap_or(0), number("limit").unwrap_or(1000));
        let to = (from + limit).min(lines.len());
        let next = (to < lines.len()).then(|| to.to_string());
        HttpResponse::Ok().json(json!({"items": &lines[from..to], "next_cursor": next}))
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lines = Data::new(lines);
    let app = move || App::new().app_data(lines.clone()).route("/sandbox/journal", web::get().to(page));
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
    let server = server.shutdown_signal(until.cancelled_owned()).run();
    tokio::spawn(server);
    url
}

/// As [`Generated::id`] and [`Generated::event`].
const IDS: &str = "set synchronous_commit = off;
create function order_id_of(i bigint) returns uuid language sql immutable
    return (lpad(to_hex($began + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid;
create function event_id_of(i bigint, k bigint) returns uuid language sql immutable
    return (lpad(to_hex($began + i), 12, '0') || '7' || lpad(to_hex(k), 3, '0') || '8001' || lpad(to_hex(i), 12, '0'))::uuid;
create function at(i bigint) returns timestamptz language sql immutable return to_timestamp(($began + i) / 1000.0);
create view completed as select i from generate_series(0::bigint, $last, $each) i;
create view cancelled as select i from generate_series(0::bigint, $last) i where i % $each > 0;
";
const ORDER_SVC: &str = "
create view placed as select i, jsonb_build_object('total', jsonb_build_object('amount', 500), 'deadline', at(i) + interval '1 hour',
    'lines', jsonb_build_array(jsonb_build_object('sku', 'SKU-' || i % $products, 'quantity', 1,
        'unit_price', jsonb_build_object('amount', 500)))) as placed from generate_series(0::bigint, $last) i;
insert into orders (id, customer_id, placed, pieces, placed_at, facts, stock_rank, payment_rank, shipment_rank, status, reason,
        version, said, updated_at, recorded, waiting_since, history_pruned_at)
    select order_id_of(i), 'c', placed, 1, at(i), '{\"stock\": \"rejected\", \"captured\": false}', 0, 0, 0, 'cancelled', 'out_of_stock',
        1, 2, at(i), 3, at(i), now() from placed where i % $each > 0;
insert into orders (id, customer_id, placed, pieces, placed_at, facts, stock_rank, payment_rank, shipment_rank, status,
        version, said, updated_at, recorded, waiting_since)
    select order_id_of(i), 'c', placed, 1, at(i), '{\"stock\": \"committed\", \"captured\": true}', 0, 0, 0, 'completed',
        1, 3, at(i), 10, at(i) from placed where i % $each = 0;
insert into order_history (order_id, position, event_id, event_type, source, event_time, status_before, status)
    select order_id_of(i), position, event_id_of(i, kind), 'event', '/', at(i), before, after from completed,
        (values (1, 1, null, 'pending'), (2, 4, 'pending', 'pending'), (3, 6, 'pending', 'pending'),
            (4, 2, 'pending', 'confirmed'), (5, 5, 'confirmed', 'confirmed'), (6, 7, 'confirmed', 'confirmed'),
            (7, 8, 'confirmed', 'confirmed'), (8, 9, 'confirmed', 'shipped'), (9, 10, 'shipped', 'shipped'),
            (10, 3, 'shipped', 'completed')) step (position, kind, before, after);
insert into inbox (consumer, event_id) select 'order-svc', event_id_of(i, 4) from cancelled
    union all select 'order-svc', event_id_of(i, kind) from completed, generate_series(4, 10) kind;
insert into customers (id, profile, version, last_sequence) select 'c-' || n, '{}', 1, 1 from generate_series(1, 2) n;
analyze;";
const STOCK_SVC: &str = "
insert into products (sku, name, description, price_amount, price_currency, products_said)
    select 'SKU-' || n, 'tea', '', 500, 'EUR', 1 from generate_series(0, $products - 1) n;
insert into movements (sku, kind, quantity) select sku, 'listed', 100000 from products;
insert into orders (order_id, reservation, lines, updated_at, stock_said)
    select order_id_of(i), 'rejected_shortages', '[]', at(i), 1 from cancelled;
insert into orders (order_id, reservation, lines, captured, updated_at, stock_said, shipments_said)
    select order_id_of(i), 'committed', jsonb_build_array(jsonb_build_object('sku', 'SKU-' || i % $products, 'quantity', 1)), true, at(i),
        2, 3 from completed;
insert into movements (sku, kind, quantity, order_id) select 'SKU-' || i % $products, 'committed', -1, order_id_of(i) from completed;
insert into stock_levels (sku, on_hand) select sku, sum(quantity) from movements group by sku;
insert into shipments (id, order_id, status, lines, carrier, tracking_number, created_at, dispatched_at, delivered_at)
    select event_id_of(i, 99), order_id_of(i), 'delivered', jsonb_build_array(jsonb_build_object('sku', 'SKU-' || i % $products, 'quantity', 1)),
        'Post', 'P1', at(i), at(i), at(i) from completed;
insert into inbox (consumer, event_id) select 'stock-svc', event_id_of(i, 1) from cancelled
    union all select 'stock-svc', event_id_of(i, kind) from completed, unnest(array[1, 2, 7]) kind;
analyze;";
const PAYMENT_SVC: &str = "
insert into payments (order_id, payment_id, state, amount, currency, captured, said, updated_at)
    select order_id_of(i), event_id_of(i, 98), 'captured', 500, 'EUR', 500, 2, at(i) from completed;
insert into ledger (payment_id, operation, amount, currency, key, debit, credit)
    select event_id_of(i, 98), operation, 500, 'EUR', operation || '-' || i, debit, credit from completed,
        (values ('authorise', 'gateway_clearing', 'customer'), ('capture', 'customer', 'revenue')) l (operation, debit, credit);
insert into inbox (consumer, event_id) select 'payment-svc', event_id_of(i, kind) from cancelled, unnest(array[1, 4]) kind
    union all select 'payment-svc', event_id_of(i, kind) from completed, unnest(array[1, 2, 4]) kind;
analyze;";
const NOTIFICATION_SVC: &str = "
insert into orders (order_id, notifications_said) select order_id_of(i), 4 from completed;
insert into notifications (id, order_id, template, event_id, happened_at, status, recipient, subject, body, sent_at)
    select event_id_of(i, 200 + kind), order_id_of(i), template, event_id_of(i, kind), at(i), 'sent', 'ann@example.com', 's', 'b', at(i) from completed,
        (values (1, 'order_placed'), (2, 'order_confirmed'), (9, 'shipment_dispatched'), (10, 'shipment_delivered')) m (kind, template);
insert into inbox (consumer, event_id) select 'notification-svc', event_id_of(i, kind) from cancelled, unnest(array[1, 2]) kind
    union all select 'notification-svc', event_id_of(i, kind) from completed, unnest(array[1, 2, 9, 10]) kind;
analyze;";
