//! Customers' profiles, over real HTTP: who sees and sets them, and what is said of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::profile;
use common::server::Server;
use common::tokens::Shop;
use futures_util::future::join_all;
use order_svc::commands;
use order_svc::domain::Profile;
use quadrille_testing::{OutboxRow, outbox};
use serde_json::{Value, json};
use service_kit::testing::TestDb;
use shared_events::{CustomerEvent, CustomerId, Event, MessageKind, Topic, header};

const MINE: &str = "/api/v1/customers/me";

fn body() -> Value {
    json!({
        "name": "Ann Lee", "email": "ann@example.com", "phone": "+353861234567", "push_token": "device-7",
        "delivery_address": {
            "line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"
        },
        "language": "de", "messages": {"order": ["email"], "payment": [], "shipment": ["push", "sms"]}
    })
}

fn body_with(pointer: &str, value: Value) -> Value {
    let mut body = body();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[field] = value;
    body
}

fn of(customer: &str) -> String {
    format!("/api/v1/customers/{customer}")
}

/// What was said of customers, in order.
async fn said(db: &TestDb) -> Vec<OutboxRow> {
    outbox(db).await.into_iter().filter(|row| row.topic == Topic::Customers.name()).collect()
}

fn id(customer: &str) -> CustomerId {
    customer.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sets_their_profile_and_each_change_of_it_is_said_whole_and_once() {
    let shop = Shop::with_guests().await;
    let (db, ann) = (&shop.server.shop.db, shop.token("ann"));
    let (status, problem) = shop.ask("GET", MINE, Some(&ann), None).await;
    assert_eq!(status, 404);
    assert!(problem["detail"].as_str().unwrap().contains("PUT /api/v1/customers/me"), "{problem}");

    let (status, set) = shop.ask("PUT", MINE, Some(&ann), Some(body())).await;
    assert_eq!((status, &set["id"], &set["version"]), (201, &json!("ann"), &json!(1)));
    for field in ["name", "email", "phone", "push_token", "delivery_address", "language"] {
        assert_eq!(set[field], body()[field], "{field}");
    }
    assert_eq!(set["messages"], json!({"order": ["email"], "payment": [], "shipment": ["sms", "push"]}));
    for path in [MINE, &of("ann")] {
        assert_eq!(shop.ask("GET", path, Some(&ann), None).await, (200, set.clone()));
    }
    // the same again, with the channels in another order
    let same = body_with("/messages/shipment", json!(["sms", "push"]));
    assert_eq!(shop.ask("PUT", MINE, Some(&ann), Some(same)).await, (200, set));
    let less = json!({"name": "Ann Lee", "email": "ann@example.com"});
    let (status, set) = shop.ask("PUT", &of("ann"), Some(&ann), Some(less)).await;
    assert_eq!(
        (status, &set["version"], &set["phone"], &set["language"]),
        (200, &json!(2), &Value::Null, &json!("en"))
    );
    assert_eq!(set["messages"], json!({"order": ["email"], "payment": ["email"], "shipment": ["email"]}));

    let said = said(db).await;
    let events: Vec<_> = said.iter().map(|row| (row.key.as_str(), row.sequence(), row.event_type())).collect();
    assert_eq!(events, [("ann", 1, "customer.changed.v1"), ("ann", 2, "customer.changed.v1")]);
    let Event::Customer(CustomerEvent::Changed(first)) = said[0].event() else { panic!("{:?}", said[0]) };
    assert_eq!(
        (first.phone, first.messages.of(MessageKind::Payment)),
        (Some("+353861234567".parse().unwrap()), &[][..])
    );
    assert!(said.iter().all(|row| !row.headers.contains_key(header::ACTOR)), "a customer is on no record: {said:?}");
    assert_eq!(db.count("actions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_customers_profile_does_not_exist_whether_or_not_there_is_one() {
    let shop = Shop::with_guests().await;
    let (ann, ben) = (shop.token("ann"), shop.token("ben"));
    let (_, before) = shop.ask("PUT", MINE, Some(&ann), Some(body())).await;
    for customer in ["ann", "nobody"] {
        for (method, body) in [("GET", None), ("PUT", Some(body())), ("PUT", Some(json!({})))] {
            let (status, problem) = shop.ask(method, &of(customer), Some(&ben), body).await;
            let told = problem["detail"].as_str().unwrap();
            assert_eq!((status, told), (404, format!("There is no profile of {customer}.").as_str()));
        }
    }
    for (method, path) in [("GET", MINE), ("PUT", MINE), ("GET", &of("ann")), ("PUT", &of("ann"))] {
        assert_eq!(shop.ask(method, path, None, None).await.0, 401, "{method} {path}");
    }
    assert_eq!(shop.ask("GET", MINE, Some(&ann), None).await.1, before);
    assert_eq!((said(&shop.server.shop.db).await.len(), shop.server.shop.db.count("customers").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_sets_anybodys_profile_on_record_and_operators_read_it() {
    let shop = Shop::with_guests().await;
    let (sam, olga) = (shop.token("sam"), shop.token("olga"));
    assert_eq!(shop.ask("PUT", &of("ann"), Some(&sam), Some(body())).await.0, 201);
    for (who, method, expected) in [(&sam, "GET", 200), (&olga, "GET", 200), (&olga, "PUT", 403)] {
        assert_eq!(shop.ask(method, &of("ann"), Some(who), Some(body())).await.0, expected, "{method}");
    }
    for who in [&sam, &olga] {
        assert_eq!(shop.ask("GET", MINE, Some(who), None).await.0, 403, "they are no customers");
        assert_eq!(shop.ask("GET", &of("nobody"), Some(who), None).await.0, 404);
    }
    let (status, problem) = shop.ask("PUT", &of("guest-1"), Some(&sam), Some(body())).await;
    assert_eq!(status, 404, "whoever orders as a guest names such an id, and must not be answered with a profile");
    assert!(problem["detail"].as_str().unwrap().contains("guests have none"), "{problem}");
    let said = said(&shop.server.shop.db).await;
    assert_eq!((said.len(), said[0].headers[header::ACTOR].as_str()), (1, "sam"));
    let (_, list) = shop.ask("GET", "/api/v1/actions?sub=sam", Some(&olga), None).await;
    let statuses: Vec<_> = list["items"].as_array().unwrap().iter().map(|action| &action["status"]).collect();
    assert_eq!(statuses, [&json!(404), &json!(201)], "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_has_changed_since_it_was_read_is_not_overwritten() {
    let server = Server::new().await;
    let url = format!("{}{}", server.root, of("ann"));
    let put = async |expected: Option<&str>, name: &str| {
        let request = server.client.put(&url).json(&body_with("/name", json!(name)));
        let request = expected.into_iter().fold(request, |request, tag| request.header("If-Match", tag));
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (answer.status().as_u16(), tag)
    };
    assert_eq!(put(Some("\"1\""), "Ann").await.0, 412, "there is none");
    assert_eq!(put(Some("*"), "Ann").await.0, 412, "there is none");
    assert_eq!(server.shop.db.count("customers").await, 0);
    assert_eq!(put(None, "Ann").await, (201, Some("\"1\"".to_owned())));
    let shown = server.client.get(&url).send().await.unwrap();
    assert_eq!(shown.headers()["etag"], "\"1\"");
    assert_eq!(put(Some("\"1\""), "Anna").await, (200, Some("\"2\"".to_owned())));
    assert_eq!(put(Some("\"1\""), "Bea").await.0, 412);
    assert_eq!(put(Some("*"), "Anne").await, (200, Some("\"3\"".to_owned())));
    assert_eq!(said(&server.shop.db).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_profile_is_told_with_its_field_and_nothing_is_written() {
    let server = Server::new().await;
    let cases = [
        ("/name", json!(" "), "name"),
        ("/name", json!(null), "name"),
        ("/email", json!("ann"), "email"),
        ("/email", json!("ann@localhost"), "email"),
        ("/phone", json!("0861234567"), "phone"),
        ("/phone", json!(7), "phone"),
        ("/phone", json!(null), "phone"),
        ("/push_token", json!("a b"), "push_token"),
        ("/push_token", json!(null), "push_token"),
        ("/language", json!("fr"), "language"),
        ("/delivery_address/country", json!("ZZ"), "delivery_address.country"),
        ("/delivery_address/city", json!(""), "delivery_address.city"),
        ("/delivery_address", json!({}), "delivery_address.line1"),
        ("/messages/order", json!([]), "messages.order"),
        ("/messages/order", json!("email"), "messages.order"),
        ("/messages/payment", json!(["email", "email"]), "messages.payment"),
        ("/messages/payment", json!(["fax"]), "messages.payment[0]"),
        ("/messages/stock", json!(["email"]), "messages.stock"),
        ("/id", json!("ben"), "id"),
    ];
    for (pointer, value, field) in cases {
        let request =
            server.client.put(format!("{}{}", server.root, of("ann"))).json(&body_with(pointer, value.clone()));
        let (status, problem) = quadrille_testing::answer(request).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{pointer} {value}: {problem}");
        let told = problem["errors"][0]["message"].as_str().unwrap();
        assert!(!told.contains("0861"), "it may end up in a log: {told}");
    }
    let long = format!("{}{}", server.root, of(&"c".repeat(256)));
    assert_eq!(quadrille_testing::answer(server.client.put(long).json(&body())).await.0, 404);
    assert_eq!((server.shop.db.count("customers").await, said(&server.shop.db).await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_asked_who_they_are_a_profile_is_named_by_its_id() {
    let server = Server::new().await;
    let request = server.client.get(format!("{}{MINE}", server.root));
    let (status, problem) = quadrille_testing::answer(request).await;
    assert_eq!(status, 404);
    assert!(problem["detail"].as_str().unwrap().contains("/api/v1/customers/c-1001"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_customer_at_the_same_time_are_numbered_without_a_gap() {
    let shop = common::Shop::new().await;
    let (pool, ann) = (&shop.db.pool, id("ann"));
    let named = |number: usize| Profile { name: format!("Ann {number}").parse().unwrap(), ..profile() };
    let changed = join_all((0..20).map(|number| commands::change_profile(pool, &ann, None, named(number)))).await;
    let mut versions: Vec<_> = changed.into_iter().map(|changed| changed.unwrap().stored.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=20).collect::<Vec<_>>());
    let said: Vec<_> = said(&shop.db).await.iter().map(OutboxRow::sequence).collect();
    assert_eq!(said, (1..=20).collect::<Vec<_>>(), "in the order of the outbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_customer_is_announced_again_as_they_are_and_one_who_is_forgotten_stays_so() {
    let shop = common::Shop::new().await;
    let pool = &shop.db.pool;
    for customer in 0..401 {
        commands::change_profile(pool, &id(&format!("c-{customer:03}")), None, profile()).await.unwrap();
    }
    shop.db.run("update customers set profile = null, last_sequence = 2, version = 2 where id = 'c-200'").await;
    shop.db.run("delete from outbox").await;

    let command = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_order-svc"));
        command.arg("reannounce").env_clear().env("DATABASE_URL", &shop.db.url);
        command
    };
    let output = tokio::task::block_in_place(|| command().output()).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("401 customers are announced again"));
    let said = said(&shop.db).await;
    assert_eq!(said.len(), 401);
    for row in &said {
        let expected = if row.key == "c-200" { (3, "customer.forgotten.v1") } else { (2, "customer.changed.v1") };
        assert_eq!((row.sequence(), row.event_type()), expected, "{}", row.key);
    }
    let versions = shop.count("select count(*) from customers where version = 1").await;
    assert_eq!(versions, 400, "which is no change");
}
