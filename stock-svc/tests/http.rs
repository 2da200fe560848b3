//! The HTTP interface: what it answers, and that bad input is refused with its field and writes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod api;
mod common;

use api::{Api, earl_grey};
use common::*;
use diesel::sql_query;
use diesel_async::{AsyncConnection, RunQueryDsl};
use quadrille_testing::issuer::{Issuer, Signer, claims};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::testing::one_connection;
use shared_events::*;
use stock_svc::http::ACCESS;

/// The JSON above with one field replaced, or taken away.
fn with(field: &str, value: Value) -> String {
    let mut body = earl_grey();
    if value == json!("(missing)") {
        body.as_object_mut().unwrap().remove(field);
    } else {
        body[field] = value;
    }
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_listed_found_changed_and_withdrawn_and_each_is_announced() {
    let api = Api::over(Warehouse::empty().await).await;
    let category = api.post("/categories", json!({"name": "Black tea", "description": ""})).await;
    let mut tea = earl_grey();
    tea["category"] = category["id"].clone();
    let listed = api.post("/products", tea).await;
    assert_eq!((&listed["on_hand"], &listed["held"], &listed["available"]), (&json!(10), &json!(0), &json!(10)));
    assert_eq!(listed["category_name"], "Black tea");
    assert_eq!(api.get("/products/TEA").await, listed);
    let details = json!({"name": "Lady Grey", "description": "", "category": null,
        "price": {"amount": 1399, "currency": "EUR"}});
    let changed = api.expect(Method::PUT, "/products/TEA", Some(&details), 200).await;
    assert_eq!((&changed["name"], &changed["price"]["amount"]), (&json!("Lady Grey"), &json!(1399)));
    api.expect(Method::PUT, "/products/TEA", Some(&details), 200).await;
    api.expect(Method::DELETE, "/products/TEA", None, 204).await;
    api.expect(Method::DELETE, "/products/TEA", None, 204).await;
    assert_eq!(api.get("/products/TEA").await["status"], "withdrawn");
    api.expect(Method::PUT, "/products/TEA", Some(&details), 409).await;
    let again = api.expect(Method::POST, "/products/TEA/relist", None, 200).await;
    assert_eq!((&again["status"], &again["price"]), (&json!("active"), &details["price"]));
    api.expect(Method::POST, "/products/TEA/relist", None, 200).await;
    api.expect(Method::POST, "/products/NONE/relist", None, 404).await;
    let said: Vec<_> = api.warehouse.said().await.iter().map(Event::type_name).collect();
    let expected = ["product.listed.v1", "product.changed.v1", "product.withdrawn.v1", "product.changed.v1"];
    assert_eq!(said, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed_and_go_on_where_they_ended() {
    let api = Api::over(Warehouse::with(&[("A-1", 1), ("B_2", 1)]).await).await;
    let category = api.post("/categories", json!({"name": "Black tea"})).await;
    let mut tea = earl_grey();
    tea["category"] = category["id"].clone();
    tea["name"] = json!("100% Assam");
    api.post("/products", tea).await;
    let skus = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
    };
    let first = api.get("/products?limit=2").await;
    assert_eq!(skus(&first), ["TEA", "B_2"], "the newest first");
    let next = first["next_cursor"].as_str().unwrap();
    let second = api.get(&format!("/products?limit=2&cursor={next}")).await;
    assert_eq!((skus(&second), &second["next_cursor"]), (vec!["A-1".to_owned()], &Value::Null));
    assert_eq!(skus(&api.get("/products?cursor=NONE").await), [""; 0]);
    assert_eq!(skus(&api.get("/products?q=earl").await), ["B_2", "A-1"]);
    assert_eq!(skus(&api.get("/products?q=assam%20100").await), ["TEA"], "words stand in any order");
    assert_eq!(skus(&api.get("/products?q=assam%20grey").await), [""; 0], "each word must be there");
    assert_eq!(skus(&api.get("/products?q=100%25").await), ["TEA"], "a wildcard is only text");
    assert_eq!(skus(&api.get("/products?q=_2").await), ["B_2"]);
    assert_eq!(skus(&api.get(&format!("/products?category={}", category["id"].as_str().unwrap())).await), ["TEA"]);
    assert_eq!(api.get("/categories").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_what_a_list_is_asked_for_is_told_at_once() {
    let api = Api::over(Warehouse::empty().await).await;
    for (path, wrong) in [
        ("/shipments?limit=0&status=sent&cursor=x&order_id=y", &["limit", "status", "cursor", "order_id"][..]),
        ("/products?limit=many&category=x&cursor=lower", &["limit", "category", "cursor"]),
        ("/reservations?limit=1001&cursor=x", &["limit", "cursor"]),
        ("/categories?limit=-1&cursor=x", &["limit", "cursor"]),
        ("/products/TEA/movements?limit=0&cursor=x", &["limit", "cursor"]),
    ] {
        assert_eq!(api.fields_of_a_problem(path, 422).await, wrong, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_a_conflict() {
    let api = Api::over(Warehouse::empty().await).await;
    api.post("/categories", json!({"name": "Tea"})).await;
    api.refuses(Method::POST, "/categories", r#"{"name": "Tea"}"#, 409, None).await;
    api.post("/products", earl_grey()).await;
    api.refuses(Method::POST, "/products", &earl_grey().to_string(), 409, None).await;
    assert_eq!(api.warehouse.said().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_adjusted_below_held_is_refused() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let order = OrderId::new();
    api.warehouse.hears(placed(order, &[("TEA", 4)])).await;
    let adjust = "/products/TEA/adjustments";
    let delivery = json!({"delta": 5, "reason": "delivery"});
    let level = api.expect(Method::POST, adjust, Some(&delivery), 200).await;
    assert_eq!((&level["on_hand"], &level["held"], &level["available"]), (&json!(15), &json!(4), &json!(11)));
    api.refuses(Method::POST, adjust, r#"{"delta": -12, "reason": "broken"}"#, 409, None).await;
    let all = json!({"delta": -11, "reason": "broken"});
    assert_eq!(api.expect(Method::POST, adjust, Some(&all), 200).await["available"], 0);
    api.refuses(Method::POST, adjust, r#"{"delta": 1000000000, "reason": "joke"}"#, 422, Some("delta")).await;
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_products_movements_are_listed_and_its_mark_is_shown_and_replaced() {
    let api = Api::over(Warehouse::empty().await).await;
    let mut body = earl_grey();
    body["low_stock_mark"] = json!(5);
    let listed = api.post("/products", body.clone()).await;
    assert_eq!(listed["low_stock_mark"], 5);
    let (sku, on_hand) = (listed["sku"].as_str().unwrap(), listed["on_hand"].as_i64().unwrap());
    let path = format!("/products/{sku}");
    let found = json!({"delta": 3, "reason": "found"});
    api.expect(Method::POST, &format!("{path}/adjustments"), Some(&found), 200).await;
    let order = OrderId::new();
    api.warehouse.hears(placed(order, &[(sku, 2)])).await;
    api.warehouse.hears(confirmed(order)).await;
    let page = api.get(&format!("{path}/movements?limit=2")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = api.get(&format!("{path}/movements?cursor={cursor}")).await;
    let moved = |page: &Value| -> Vec<(String, i64)> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| (item["kind"].as_str().unwrap().to_owned(), item["quantity"].as_i64().unwrap())).collect()
    };
    assert_eq!(moved(&page), [("committed".to_owned(), -2), ("adjusted".to_owned(), 3)]);
    assert_eq!(moved(&rest), [("listed".to_owned(), on_hand)]);
    assert_eq!((&page["items"][0]["order_id"], &rest["next_cursor"]), (&json!(order), &Value::Null));
    let mut details = body;
    for field in ["sku", "on_hand", "low_stock_mark"] {
        details.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(api.expect(Method::PUT, &path, Some(&details), 200).await["low_stock_mark"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_not_right_is_refused_with_its_field_and_not_written() {
    let api = Api::over(Warehouse::empty().await).await;
    let cases = [
        (with("sku", json!("lower case")), "sku"),
        (with("sku", json!("")), "sku"),
        (with("sku", json!(7)), "sku"),
        (with("sku", json!("NUL\u{0}")), "sku"),
        (with("sku", json!("(missing)")), "sku"),
        (with("name", json!("  ")), "name"),
        (with("name", json!("nul\u{0}")), "name"),
        (with("name", json!("x".repeat(201))), "name"),
        (with("brand", json!("")), "brand"),
        (with("description", json!("nul\u{0}")), "description"),
        (with("description", json!("x".repeat(5_001))), "description"),
        (with("category", json!("tea")), "category"),
        (with("category", json!(OrderId::new().to_string())), "category"),
        (with("price", json!({"amount": 0, "currency": "EUR"})), "price"),
        (with("price", json!({"amount": -1, "currency": "EUR"})), "price"),
        (with("price", json!({"amount": 12.99, "currency": "EUR"})), "price.amount"),
        (with("price", json!({"amount": i64::MAX, "currency": "EUR"})), "price"),
        (with("price", json!({"amount": 1, "currency": "DOUBLOON"})), "price.currency"),
        (with("low_stock_mark", json!(0)), "low_stock_mark"),
        (with("low_stock_mark", json!(1.5)), "low_stock_mark"),
        (with("on_hand", json!(-1)), "on_hand"),
        (with("on_hand", json!(1_000_000_001)), "on_hand"),
        (with("on_hand", json!(u64::MAX)), "on_hand"),
        (with("on_hand", json!("10")), "on_hand"),
        (with("colour", json!("black")), "colour"),
        ("[]".to_owned(), "body"),
    ];
    for (body, field) in &cases {
        api.refuses(Method::POST, "/products", body, 422, Some(field)).await;
    }
    api.refuses(Method::POST, "/products", "{\"sku\": ", 400, None).await;
    api.refuses(Method::POST, "/products", "", 400, None).await;
    api.refuses(Method::POST, "/products", &with("description", json!("x".repeat(300_000))), 413, None).await;
    for table in ["products", "stock_levels", "movements", "outbox"] {
        assert_eq!(api.warehouse.count(table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_that_is_not_right_is_refused_with_its_field() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let nobody = ShipmentId::new();
    let (adjust, dispatch) = ("/products/TEA/adjustments", format!("/shipments/{nobody}/dispatch"));
    for (body, field) in [
        (r#"{"delta": 0, "reason": "none"}"#, "delta"),
        (r#"{"delta": 1.5, "reason": "half"}"#, "delta"),
        (r#"{"delta": 9223372036854775808, "reason": "more than a number holds"}"#, "delta"),
        (r#"{"delta": -9223372036854775808, "reason": "as little"}"#, "delta"),
        (r#"{"delta": 1, "reason": ""}"#, "reason"),
        (r#"{"delta": 1, "reason": "a", "by": "me"}"#, "by"),
    ] {
        api.refuses(Method::POST, adjust, body, 422, Some(field)).await;
    }
    api.refuses(Method::POST, "/categories", r#"{"name": ""}"#, 422, Some("name")).await;
    api.refuses(Method::POST, &dispatch, r#"{"carrier": "", "tracking_number": "1"}"#, 422, Some("carrier")).await;
    let handed = r#"{"carrier": "An Post", "tracking_number": "1"}"#;
    for (method, path, body) in [
        (Method::POST, dispatch.as_str(), handed),
        (Method::POST, "/shipments/not-an-id/deliver", ""),
        (Method::GET, "/shipments/not-an-id", ""),
        (Method::GET, "/products/GHOST", ""),
        (Method::GET, "/products/not%20a%20sku", ""),
        (Method::GET, "/products/GHOST/movements", ""),
        (Method::DELETE, "/products/GHOST", ""),
        (Method::POST, "/products/GHOST/adjustments", r#"{"delta": 1, "reason": "a"}"#),
        (Method::GET, "/nowhere", ""),
    ] {
        api.refuses(method, path, body, 404, None).await;
    }
    for (path, field) in [
        ("/products?limit=0", "limit"),
        ("/products?limit=1001", "limit"),
        ("/products?limit=many", "limit"),
        ("/products?cursor=%00", "cursor"),
        ("/products?q=%00", "q"),
        ("/products?category=tea", "category"),
        ("/products?colour=black", "colour"),
        ("/products/TEA/movements?cursor=x", "cursor"),
        ("/categories?cursor=x", "cursor"),
        ("/reservations?order_id=7", "order_id"),
        ("/reservations?cursor=x", "cursor"),
        ("/shipments?order_id=7", "order_id"),
        ("/shipments?status=gone", "status"),
    ] {
        api.refuses(Method::GET, path, "", 422, Some(field)).await;
    }
    api.refuses(Method::POST, "/products/TEA", "", 405, None).await;
    assert_eq!(api.warehouse.level("TEA").await, (10, 0));
    assert_eq!(api.warehouse.count("outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adjustment_that_is_sent_again_with_its_key_is_counted_once() {
    let api = Api::over(Warehouse::with(&[("TEA", 10), ("MUG", 1)]).await).await;
    let (to, delivery) = ("/products/TEA/adjustments", json!({"delta": 5, "reason": "delivery"}));
    let first = api.once("a-1", to, &delivery).await;
    assert_eq!((first.0, &first.1["on_hand"]), (200, &json!(15)));
    let laid_out_otherwise = json!({"reason": "delivery", "delta": 5});
    assert_eq!(api.once("a-1", to, &laid_out_otherwise).await, first);
    for (path, body) in [
        (to, json!({"delta": 6, "reason": "delivery"})),
        (to, json!({"delta": 5, "reason": "a gift"})),
        ("/products/MUG/adjustments", delivery.clone()),
    ] {
        let (status, problem) = api.once("a-1", path, &body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("Idempotency-Key")), "{path} {body}");
    }
    assert_eq!(api.once("not a key", to, &delivery).await.0, 422);
    assert_eq!((api.warehouse.level("TEA").await, api.warehouse.level("MUG").await), ((15, 0), (1, 0)));
    api.expect(Method::POST, to, Some(&delivery), 200).await;
    api.expect(Method::POST, to, Some(&delivery), 200).await;
    assert_eq!(api.warehouse.level("TEA").await, (25, 0), "without a key each is one of its own");
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_being_worked_on_is_a_conflict_and_an_answer_is_forgotten_after_a_day() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let (to, delivery) = ("/products/TEA/adjustments", json!({"delta": 5, "reason": "delivery"}));
    let mut holder = api.warehouse.db.conn().await;
    let held = holder.transaction(async |conn: &mut _| {
        let lock = "select pg_advisory_xact_lock(hashtextextended('idempotency-key a-1', 0))";
        sql_query(lock).execute(conn).await?;
        Ok::<_, diesel::result::Error>(api.once("a-1", to, &delivery).await)
    });
    let (status, problem) = held.await.unwrap();
    assert_eq!((status, &problem["type"]), (409, &json!("urn:problem:conflict")));
    assert_eq!(api.once("a-1", to, &delivery).await.0, 200);
    let older = async |by: &str| {
        let older = format!("update idempotency_keys set created_at = created_at - interval '{by}'");
        api.warehouse.db.run(&older).await;
        service_kit::testing::prune_all(&api.warehouse.db.pool, &stock_svc::housekeeping::times_to_live()).await
    };
    assert_eq!((older("23 hours").await, older("61 minutes").await), (0, 1));
    assert_eq!(api.once("a-1", to, &delivery).await.0, 200);
    assert_eq!(api.warehouse.level("TEA").await, (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_what_the_service_does_and_its_examples_are_taken() {
    let api = Api::over(Warehouse::empty().await).await;
    api.document_is_right(stock_svc::http::ACCESS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_may_be_kept_and_is_asked_for_anew_and_the_rest_is_not_kept() {
    let api = Api::over(Warehouse::empty().await).await;
    api.post("/products", earl_grey()).await;
    for (path, kept) in [
        ("/products", "no-cache"),
        ("/products/TEA", "no-cache"),
        ("/categories", "no-cache"),
        ("/products/TEA/movements", "no-store"),
        ("/shipments", "no-store"),
    ] {
        let answer = api.send(Method::GET, path, None).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["cache-control"]),
            (200, &kept.parse().unwrap()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_product_is_changed_by_who_has_seen_it_as_it_is_and_by_nobody_else() {
    let api = Api::over(Warehouse::empty().await).await;
    let listed = api.post("/products", earl_grey()).await;
    let asked = async |method: Method, tag: Option<&str>, body: Value| {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = api.request(method, "/products/TEA").header("content-type", kind).body(body.to_string());
        let request = if let Some(tag) = tag { request.header("if-match", tag) } else { request };
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (answer.status().as_u16(), tag, answer.json::<Value>().await.unwrap_or_default())
    };
    let patch = async |tag: Option<&str>, body: Value| asked(Method::PATCH, tag, body).await;
    let (_, first, _) = asked(Method::GET, None, json!({})).await;
    let (status, _, problem) = patch(None, json!({"brand": "Quay"})).await;
    assert_eq!((status, &problem["code"]), (428, &json!("precondition_required")));
    let (status, second, product) = patch(first.as_deref(), json!({"brand": "Quay", "price": {"amount": 1399}})).await;
    assert_eq!((status, &product["brand"], &product["name"]), (200, &json!("Quay"), &listed["name"]));
    assert_eq!(product["price"], json!({"amount": 1399, "currency": "EUR"}));
    let (status, _, problem) = patch(first.as_deref(), json!({"brand": "Mill"})).await;
    assert_eq!((status, &problem["code"]), (412, &json!("precondition_failed")));
    let weak = format!("W/{}", second.as_deref().unwrap());
    assert_eq!(patch(Some(&weak), json!({"brand": "Mill"})).await.0, 412);
    let (_, third, product) = patch(second.as_deref(), json!({"brand": null})).await;
    assert_eq!(product["brand"], Value::Null);
    let wrong = json!({"name": null, "price": {"amount": 0}, "colour": "red"});
    let (status, _, problem) = patch(third.as_deref(), wrong).await;
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!((status, fields), (422, vec![&json!("colour"), &json!("price"), &json!("name")]));
    assert_eq!(asked(Method::DELETE, first.as_deref(), json!({})).await.0, 412);
    for two in [["*", "\"9\""], ["\"9\"", "*"]] {
        let request = api.request(Method::DELETE, "/products/TEA");
        let request = two.iter().fold(request, |request, tag| request.header("if-match", *tag));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 422, "{two:?}");
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], "If-Match");
    }
    assert_eq!(patch(Some("*"), json!({"low_stock_mark": 5})).await.2["low_stock_mark"], 5);
    let found = json!({"delta": 3, "reason": "found"});
    api.expect(Method::POST, "/products/TEA/adjustments", Some(&found), 200).await;
    let (_, last, _) = asked(Method::GET, None, json!({})).await;
    assert_eq!(patch(last.as_deref(), json!({})).await.0, 200, "stock that moves makes no new version");
}

/// What the one connection of this interface's pool is asked for a look-up, once it has all prepared.
async fn asked_for(api: &Api, path: &str) -> (u64, u64) {
    api.get(path).await;
    api.warehouse.reactions.nudge.nudge(); // pages of before are not shown any more
    let before = api.warehouse.db.pool.get().await.unwrap().traffic();
    api.get(path).await;
    let after = api.warehouse.db.pool.get().await.unwrap().traffic();
    (after.statements - before.statements, after.round_trips - before.round_trips)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_look_up_is_one_statement_in_one_round_trip() {
    let mut warehouse = Warehouse::with(&[("A-1", 1), ("B-2", 1), ("C-3", 9)]).await;
    warehouse.db.pool = one_connection(&warehouse.db.url).await;
    let order = OrderId::new();
    warehouse.hears(placed(order, &[("C-3", 1)])).await;
    warehouse.hears(confirmed(order)).await;
    warehouse.hears(captured(order)).await;
    let api = Api::over(warehouse).await;
    let parcel = api.get("/shipments").await["items"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        "/products/A-1",
        "/products?limit=1",
        "/products?limit=1&cursor=C-3",
        "/products?limit=1&q=earl%20grey&cursor=C-3",
        "/products/A-1/movements",
        "/products/A-1/movements?limit=1",
        "/categories",
        "/reservations",
        &format!("/reservations?order_id={order}"),
        "/shipments",
        &format!("/shipments?order_id={order}&status=pending"),
        &format!("/shipments/{parcel}"),
    ] {
        assert_eq!(asked_for(&api, path).await, (1, 1), "{path}");
    }
    api.expect(Method::GET, "/products/NONE/movements", None, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_reads_the_catalogue_and_only_staff_and_its_machines_change_it() {
    let warehouse = Warehouse::empty().await;
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let guard = issuer.guard(ACCESS).await.recording(warehouse.db.pool.clone());
    let api = Api::guarded(warehouse, guard);
    api.refuses_strangers(ACCESS).await;
    assert_eq!(api.send(Method::GET, "/products", None).await.status(), 200);
    let ask = async |token: &str| {
        let request = api.request(Method::POST, "/products").bearer_auth(token).json(&earl_grey());
        request.send().await.unwrap().status().as_u16()
    };
    let mut machine = claims(&issuer, "warehouse", &[]);
    machine["scope"] = json!("stock.write");
    let machine = issuer.signers[0].token(&machine);
    let tokens = ["customer", "operator", "staff"].map(|role| issuer.token("sam", &[role]));
    let [customer, operator, staff] = [ask(&tokens[0]).await, ask(&tokens[1]).await, ask(&tokens[2]).await];
    assert_eq!([customer, operator, staff, ask(&machine).await], [403, 403, 201, 409]);
    assert_eq!(api.warehouse.db.count("products").await, 1);
    assert_eq!(api.warehouse.db.count("actions where sub = 'sam' and role = 'staff' and status = 201").await, 1);
    let said = quadrille_testing::outbox(&api.warehouse.db).await;
    assert!(!said.is_empty() && said.iter().all(|row| row.headers["ce_actor"] == "sam"), "{said:?}");
}
