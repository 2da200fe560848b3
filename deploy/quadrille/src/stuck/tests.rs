//! From facts to causes, by table; and the facts as a real PostgreSQL tells them.

use chrono::TimeDelta;
use service_kit::testing::{TestDb, eventually};

use super::facts::{
    Call, DeadLetter, DueTimers, InDatabase, InKafka, Lock, Messages, OpenTransaction, Parked, Pending, Progress, Ready,
};
use super::*;
use crate::cluster::Cluster;
use crate::service::Service;
use crate::topics::overview::Position;

const ORDER: Uuid = Uuid::from_u128(1);

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn waiting(id: u128, fact: &str, from: &str) -> Waiting {
    Waiting { id: Uuid::from_u128(id), fact: fact.to_owned(), from: from.to_owned(), since: at(0) }
}

fn for_stock() -> Waiting {
    waiting(1, "stock.reserved", "stock-svc")
}

fn for_payment() -> Waiting {
    waiting(1, "payment.authorized", "payment-svc")
}

/// A minute after midnight, with this in the database of a service; the brokers answer and everybody is there.
fn facts(service: Service, database: InDatabase) -> Facts {
    let groups = Service::WITH_OUTBOX.map(|service| (service, (1, vec![]))).into();
    let kafka = Some(Ok(InKafka { groups, missing: vec![] }));
    Facts { now: at(60), kafka, databases: [(service, database)].into(), ..Facts::default() }
}

fn with(overdue: Waiting, facts: Facts) -> Facts {
    Facts { overdue: vec![overdue], ..facts }
}

/// The only cause: its kind, its line and what mends it. `quadrille order show` tells it of the order too.
fn only(facts: Facts) -> (Kind, String, String) {
    let told = facts.overdue.first().map(|order| lines_of(&facts, order.id, Some(order)));
    let stuck = Stuck::of(facts);
    let [cause] = &stuck.causes[..] else { panic!("{:#?}", stuck.causes) };
    if let Some(told) = told.filter(|_| cause.kind != Kind::Unknown) {
        assert!(told.iter().any(|line| line.starts_with(&cause.line())), "{told:?}");
    }
    (cause.kind, cause.line(), cause.mend.clone())
}

fn key() -> String {
    ORDER.to_string()
}

#[test]
fn a_gateway_that_fails_is_told_as_an_operator_would_say_it() {
    let call = |id, error: Option<&str>| Call {
        order_id: Uuid::from_u128(id),
        created_at: at(1),
        due_at: at(100 + i64::try_from(id).unwrap()),
        error_code: error.map(|_| "no_answer".to_owned()),
        error: error.map(str::to_owned),
        failing_since: error.map(|_| at(2)),
    };
    let calls = |second: Option<&str>| InDatabase {
        calls: vec![call(1, Some("no answer: status 500")), call(2, second)],
        ..InDatabase::default()
    };
    for second in [Some("no answer: status 500"), None] {
        let (kind, line, mend) = only(with(for_payment(), facts(Service::PaymentSvc, calls(second))));
        assert_eq!(kind, Kind::Gateway);
        let expected = "gateway answers 500 since 1970-01-01 00:00:01, 2 orders wait; next try 1970-01-01 00:01:41";
        assert_eq!(line.replace("00:00:02", "00:00:01"), expected);
        assert!(mend.contains("go on by themselves"), "{mend}");
    }
    let untried = InDatabase { calls: vec![call(1, None)], ..InDatabase::default() };
    let (_, line, _) = only(facts(Service::PaymentSvc, untried));
    assert!(line.starts_with("the gateway has not answered yet since 1970-01-01 00:00:01, 1 order waits"), "{line}");
}

#[test]
fn a_broker_that_is_away_keeps_all_that_wait_for_services_and_none_that_wait_for_people() {
    let away = |order| {
        let outbox = vec![Pending { key: key(), since: at(50) }];
        let database = InDatabase { outbox, is_relayed: true, ..InDatabase::default() };
        let why = "Kafka at 127.0.0.1:9092 does not answer: connection refused".to_owned();
        with(order, Facts { kafka: Some(Err(why)), ..facts(Service::OrderSvc, database) })
    };
    let (kind, line, mend) = only(away(for_stock()));
    assert_eq!(kind, Kind::Broker);
    assert!(line.ends_with("connection refused since 1970-01-01 00:00:50, 1 order waits"), "{line}");
    assert!(mend.contains("quadrille topics"), "{mend}");
    let stuck = Stuck::of(away(waiting(2, "payment.authorized", "customer")));
    let kinds: Vec<_> = stuck.causes.iter().map(|cause| (cause.kind, cause.orders)).collect();
    assert_eq!(kinds, [(Kind::Broker, 1), (Kind::Customer, 1)]);
}

#[test]
fn an_outbox_that_waits_lacks_a_relay_or_a_relay_that_publishes() {
    let pending = |is_relayed| {
        let outbox = vec![Pending { key: key(), since: at(50) }, Pending { key: "TEA".to_owned(), since: at(51) }];
        facts(Service::OrderSvc, InDatabase { outbox, is_relayed, ..InDatabase::default() })
    };
    let (kind, line, mend) = only(with(for_stock(), pending(false)));
    assert_eq!(kind, Kind::NoRelay);
    let expected =
        "no relay publishes the outbox of order-svc: events of 2 keys wait since 1970-01-01 00:00:50, 1 order waits";
    assert_eq!(line, expected, "a SKU is no order");
    assert!(mend.contains("quadrille run outbox-relay"), "{mend}");
    let mut led = with(for_stock(), pending(true));
    let checks = [("relay".to_owned(), "it may not write to orders.v1".to_owned())].into();
    led.ready.insert(Service::OrderSvc, Ok(Ready { checks }));
    let (kind, line, _) = only(led);
    assert_eq!(kind, Kind::Outbox);
    assert!(line.contains("a relay leads (it may not write to orders.v1)"), "{line}");
}

#[test]
fn dead_letters_and_parked_rows_are_told_with_the_command_that_tries_them_again() {
    let letter = |id, key: &str, error: &str| DeadLetter {
        id,
        key: key.to_owned(),
        event: Some("order.placed.v1".to_owned()),
        error: Some(error.to_owned()),
        since: at(id),
        behind: 2,
    };
    let database = |dead_letters| facts(Service::StockSvc, InDatabase { dead_letters, ..InDatabase::default() });
    let (kind, line, mend) = only(with(for_stock(), database(vec![letter(7, &key(), "not JSON")])));
    assert_eq!(kind, Kind::DeadLetter);
    let expected = "stock-svc could not handle order.placed.v1 (dead letter 7, 2 events wait behind): not JSON since \
                    1970-01-01 00:00:07, 1 order waits";
    assert_eq!(line, expected);
    assert!(mend.ends_with("quadrille dead-letters replay stock-svc 7"), "{mend}");
    let alike = vec![letter(7, &key(), "not JSON"), letter(9, &Uuid::from_u128(2).to_string(), "not JSON")];
    let (_, line, mend) = only(database(alike));
    assert!(line.contains("(2 dead letters, 4 events wait behind)") && line.ends_with("2 orders wait"), "{line}");
    assert!(mend.contains("quadrille dead-letters list stock-svc"), "{mend}");

    let reason = Some("too large".to_owned());
    let parked = vec![Parked { topic: "orders.v1".to_owned(), key: key(), since: at(9), reason }];
    let database = InDatabase { parked, ..InDatabase::default() };
    let (kind, line, mend) = only(with(for_stock(), facts(Service::OrderSvc, database)));
    assert_eq!(kind, Kind::Parked);
    assert!(line.contains("of 1 keys: too large since"), "{line}");
    assert!(mend.ends_with(&format!("outbox-relay parked retry order_svc orders.v1 {ORDER}")), "{mend}");
}

#[test]
fn whoever_holds_a_lock_is_named_once_and_a_forgotten_transaction_too() {
    let lock = |since| Lock {
        since: at(since),
        pid: 4711,
        held_since: Some(at(3)),
        why: "waits for a lock of backend 4711".to_owned(),
    };
    let open = |pid, has_locks| OpenTransaction {
        pid: Some(pid),
        since: Some(at(4)),
        has_locks,
        why: format!("backend {pid} is idle in transaction"),
    };
    let database = |locks: Vec<Lock>, transactions| InDatabase { locks, transactions, ..InDatabase::default() };
    let both = database(vec![lock(40), lock(41)], vec![open(4711, true)]);
    let (kind, line, mend) = only(with(for_stock(), facts(Service::StockSvc, both)));
    assert_eq!(kind, Kind::Lock);
    assert_eq!(line, "stock-svc waits for a lock of backend 4711 since 1970-01-01 00:00:03, 1 order waits");
    assert!(mend.ends_with("psql -d stock_svc -c 'select pg_terminate_backend(4711)'"), "{mend}");

    let (kind, line, _) = only(with(for_stock(), facts(Service::StockSvc, database(vec![], vec![open(12, true)]))));
    assert_eq!(kind, Kind::OpenTransaction);
    let expected =
        "in the database of stock-svc backend 12 is idle in transaction since 1970-01-01 00:00:04, 1 order waits";
    assert_eq!(line, expected);
    // one that has only a snapshot keeps rows from being cleaned up, and no order
    let (kind, line, _) = only(facts(Service::StockSvc, database(vec![], vec![open(12, false)])));
    assert_eq!((kind, line.contains("wait")), (Kind::OpenTransaction, false), "{line}");
}

#[test]
fn a_consumer_that_is_stopped_is_told_from_one_that_is_behind() {
    let position = Position { topic: "orders.v1".to_owned(), partition: 0, at: 5, end: 9 };
    let read = |position, caught_up_to: i64| Progress {
        topic: "orders.v1".to_owned(),
        partition: 0,
        position,
        caught_up_to: Some(at(caught_up_to)),
    };
    let group = |members, progress: Progress| {
        let mut facts = facts(Service::StockSvc, InDatabase { progress: vec![progress], ..InDatabase::default() });
        let groups = [(Service::StockSvc, (members, vec![position.clone()]))].into();
        facts.kafka = Some(Ok(InKafka { groups, missing: vec![] }));
        with(for_stock(), facts)
    };
    let (kind, line, mend) = only(group(0, read(5, 30)));
    assert_eq!(kind, Kind::Stopped);
    let expected = "stock-svc reads nothing: nobody is in its consumer group since 1970-01-01 00:00:30, 1 order waits";
    assert_eq!(line, expected);
    assert!(mend.contains("quadrille run stock-svc"), "{mend}");
    let (kind, line, _) = only(group(1, read(6, 30)));
    assert_eq!(kind, Kind::Lag);
    assert!(line.starts_with("stock-svc is behind: 3 events are not handled yet since 1970-01-01 00:00:30"), "{line}");
    // it has handled all, or read everything a moment ago
    for well in [read(9, 30), read(6, 55)] {
        assert_eq!(only(group(1, well)).0, Kind::Unknown);
    }
    let mut frozen = group(1, read(6, 30));
    frozen.ready.insert(Service::StockSvc, Err("timed out".to_owned()));
    let (kind, line, _) = only(frozen);
    assert_eq!((kind, line.starts_with("stock-svc does not answer: timed out")), (Kind::Stopped, true), "{line}");
}

#[test]
fn messages_that_wait_are_no_orders_that_wait() {
    let messages = Messages {
        channel: "email".to_owned(),
        count: 3,
        since: at(10),
        next_try: at(61),
        error_code: Some("server_away".to_owned()),
        error: Some("connection refused".to_owned()),
        orders: vec![ORDER],
    };
    let facts = facts(Service::NotificationSvc, InDatabase { messages: vec![messages], ..InDatabase::default() });
    for order in [Some(&for_stock()), None] {
        let [line] = &lines_of(&facts, ORDER, order)[..] else { panic!("one line") };
        assert!(line.starts_with("mail server takes none (server_away: connection refused) since "), "{line}");
    }
    let stuck = Stuck::of(with(for_stock(), facts));
    let kinds: Vec<_> = stuck.causes.iter().map(|cause| (cause.kind, cause.orders, cause.messages)).collect();
    assert_eq!(kinds, [(Kind::Unknown, 1, None), (Kind::MessageServer, 0, Some(3))]);
    let expected = "mail server takes none (server_away: connection refused) since 1970-01-01 00:00:10, 3 messages wait; next try \
                    1970-01-01 00:01:01";
    assert_eq!(stuck.causes[1].line(), expected);
}

#[test]
fn timers_people_and_what_nobody_knows_are_told_too() {
    let timers = |attempts| {
        let due = DueTimers { kind: "hold".to_owned(), count: 2, since: at(20), attempts, keys: vec![key()] };
        with(for_stock(), facts(Service::StockSvc, InDatabase { timers: vec![due], ..InDatabase::default() }))
    };
    let (kind, line, mend) = only(timers(0));
    assert_eq!(kind, Kind::Timer);
    assert!(
        line.starts_with("2 timers of stock-svc (hold) are due and have not fired since 1970-01-01 00:00:20"),
        "{line}"
    );
    assert!(mend.contains("fire once stock-svc has read"), "{mend}");
    assert!(only(timers(3)).1.contains("are due and fail"));

    for (fact, from, kind, mended_by) in [
        ("payment.authorized", "customer", Kind::Customer, "nobody but the customer"),
        ("payment.refunded", "staff", Kind::StaffRefund, "settle-outside"),
        ("shipment.dispatched", "stock-svc", Kind::Dispatch, "/dispatch"),
        ("shipment.delivered", "stock-svc", Kind::Carrier, "/deliver"),
        ("stock.reserved", "stock-svc", Kind::Unknown, "quadrille order show"),
    ] {
        let (found, line, mend) = only(with(waiting(1, fact, from), facts(Service::StockSvc, InDatabase::default())));
        assert_eq!(found, kind);
        assert!(
            line.ends_with(" since 1970-01-01 00:00:00, 1 order waits") && mend.contains(mended_by),
            "{line}: {mend}"
        );
    }
}

#[test]
fn a_database_that_is_away_keeps_those_that_wait_for_its_service() {
    let mut away = with(for_stock(), facts(Service::PaymentSvc, InDatabase::default()));
    away.unreachable.insert(Service::StockSvc, "connection refused".to_owned());
    let (kind, line, _) = only(away);
    assert_eq!(kind, Kind::Database);
    assert!(
        line.starts_with("the database of stock-svc can't be reached: connection refused, 1 order waits"),
        "{line}"
    );
}

#[test]
fn what_is_printed_says_how_many_wait_what_keeps_them_and_what_mends_it() {
    let mut facts = facts(Service::StockSvc, InDatabase::default());
    facts.overdue = (1..=7).map(|id| waiting(id, "stock.reserved", "stock-svc")).collect();
    facts.away = vec![Away { what: "the database of payment-svc".to_owned(), why: "no answer".to_owned() }];
    let mut out = Vec::new();
    Stuck::of(facts).print(&mut out).unwrap();
    let told = String::from_utf8(out).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], "1970-01-01 00:01:00: 7 orders wait longer than they should");
    assert!(lines[2].ends_with("since 1970-01-01 00:00:00, 7 orders wait"), "{told}");
    assert!(lines[3].starts_with("  of: 00000000-") && lines[3].ends_with(", ..."), "{told}");
    assert!(lines[4].starts_with("  mend: quadrille order show 0000"), "{told}");
    assert_eq!(lines[6..], ["NOT LOOKED AT", "  the database of payment-svc: no answer"]);
}

/// Rows that every question finds something in, in the databases of all four services.
#[tokio::test(flavor = "multi_thread")]
async fn the_questions_are_answered_by_the_databases_of_the_services() {
    let migrations =
        [order_svc::migrations(), stock_svc::migrations(), payment_svc::migrations(), notification_svc::migrations()];
    let mut databases = Vec::new();
    for sources in &migrations {
        databases.push(TestDb::new(sources).await);
    }
    for (service, db) in Service::WITH_OUTBOX.iter().zip(&databases) {
        let rows = format!(
            "insert into outbox (event_id, topic, key, headers, payload, created_at) \
                 values (gen_random_uuid(), 't', '{ORDER}', '[]', '', now() - interval '9 s'); \
             insert into outbox_parked (id, event_id, topic, key, headers, payload, created_at, reason) \
                 values (1, gen_random_uuid(), 't', '{ORDER}', '[]', '', now(), 'too large'); \
             insert into dead_letters (consumer, topic, partition, record_offset, key, headers, event_type, error, attempts) \
                 values ('{0}', 't', 0, 1, '{ORDER}', '[]', 'e', 'not JSON', 1), ('{0}', 't', 0, 2, '{ORDER}', '[]', 'e', null, 1); \
             insert into consumer_progress (consumer, topic, partition, position, caught_up_to) values ('{0}', 't', 0, 1, now()); \
             insert into timers (kind, key, key_hash, due_at) values ('hold', '{ORDER}', 1, now() - interval '20 s')",
            service.name()
        );
        db.run(rows).await;
    }
    let [orders, _, payments, notifications] = &databases[..] else { panic!("four") };
    let overdue = "insert into orders (id, customer_id, placed, pieces, placed_at, facts, status, version, said, updated_at, \
            stock_rank, payment_rank, shipment_rank, waiting_for, waiting_from, overdue_at, overdue_not_before) \
        select gen_random_uuid(), 'c', '{}', 1, now(), '{}', 'pending', 1, 1, now(), 0, 0, 0, 'stock.reserved', 'stock-svc', \
            now() + make_interval(secs => seconds), now() - interval '1 s' from (values (-1), (60)) as due (seconds)";
    orders.run(overdue).await;
    let call = format!(
        "insert into payments (order_id, payment_id, state) values ('{ORDER}', '{ORDER}', 'authorizing'); \
         insert into gateway_calls (key, payment_id, order_id, operation, error_code, error, failing_since) \
             values ('k', '{ORDER}', '{ORDER}', 'authorise', 'away', 'can''t connect', now())"
    );
    payments.run(call).await;
    let message = format!(
        "insert into orders (order_id) values ('{ORDER}'); \
         insert into notifications (id, order_id, template, event_id, happened_at, recipient, subject, body, ready, due_at) \
             values ('{ORDER}', '{ORDER}', 'order_placed', '{ORDER}', now(), 'a@example.com', 's', 'b', true, now() - interval '9 s')"
    );
    notifications.run(message).await;
    let urls = Service::WITH_OUTBOX.into_iter().zip(databases.iter().map(|db| db.url.clone())).collect();
    let sources = Sources::of_run(Cluster("127.0.0.1:1".into()), urls, String::new());
    let facts = gather(&sources).await;
    assert_eq!(facts.away, [], "each question is answered");
    assert!(matches!(facts.kafka, Some(Err(_))), "no broker is there");
    for database in facts.databases.values() {
        assert_eq!(database.outbox[0].key, key());
        assert_eq!((database.parked.len(), database.progress.len(), database.timers.len()), (1, 1, 1));
        let [letter] = &database.dead_letters[..] else { panic!("{:?}", database.dead_letters) };
        assert_eq!((letter.error.as_deref(), letter.behind), (Some("not JSON"), 1));
        assert!(!database.is_relayed);
    }
    assert_eq!(facts.overdue.len(), 1, "the other isn't overdue yet");
    assert_eq!(facts.databases[&Service::PaymentSvc].calls[0].order_id, ORDER);
    assert_eq!(facts.databases[&Service::NotificationSvc].messages[0].orders, [ORDER]);
    // a relay leads, as the lock of its session says
    let mut leader = orders.conn().await;
    let lead = format!("select pg_advisory_lock({})", outbox_relay::LEADERS_LOCK);
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *leader, &lead).await.unwrap();
    eventually("the leader is seen", std::time::Duration::from_secs(5), async || {
        gather(&sources).await.databases[&Service::OrderSvc].is_relayed
    })
    .await;
}
