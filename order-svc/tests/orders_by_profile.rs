//! Orders that leave out their customer or address, and take them from the profile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::{Server, order, order_with};
use common::tokens::Shop;
use quadrille_testing::{answer, outbox};
use serde_json::{Value, json};

const MINE: &str = "/api/v1/customers/me";

fn profile(line1: &str) -> Value {
    json!({
        "name": "Ann Kept", "email": "kept@example.com",
        "delivery_address": {"line1": line1, "line2": null, "city": "Galway", "postal_code": "H91", "country": "IE"}
    })
}

/// The order without these fields.
fn order_without(fields: &[&str]) -> Value {
    let mut order = order();
    for field in fields {
        match field.split_once('.') {
            Some((whole, part)) => drop(order[whole].as_object_mut().unwrap().remove(part)),
            None => drop(order.as_object_mut().unwrap().remove(*field)),
        }
    }
    order
}

fn fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_order_leaves_out_is_taken_from_its_customers_profile_and_stays_what_it_was() {
    let shop = Shop::with_guests().await;
    let ann = shop.token("ann");
    assert_eq!(shop.ask("PUT", MINE, Some(&ann), Some(profile("9 Mill Rd"))).await.0, 201);
    let (status, placed) =
        shop.ask("POST", "", Some(&ann), Some(order_without(&["customer", "delivery_address"]))).await;
    assert_eq!(status, 202, "{placed}");
    let kept = json!({"id": "ann", "name": "Ann Kept", "email": "kept@example.com"});
    assert_eq!((&placed["customer"], &placed["delivery_address"]["line1"]), (&kept, &json!("9 Mill Rd")));
    // what it names stays what it says
    let named = json!({"customer": {"name": "Ann Given"}, "delivery_address": Value::Null});
    let mut body = order();
    body.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
    let (status, other) = shop.ask("POST", "", Some(&ann), Some(body)).await;
    assert_eq!(status, 202, "{other}");
    assert_eq!(other["customer"], json!({"id": "ann", "name": "Ann Given", "email": "kept@example.com"}));

    assert_eq!(shop.ask("PUT", MINE, Some(&ann), Some(profile("10 Bridge St"))).await.0, 200);
    let (_, after) = shop.ask("GET", &format!("/{}", placed["id"].as_str().unwrap()), Some(&ann), None).await;
    assert_eq!((&after["customer"], &after["delivery_address"]), (&placed["customer"], &placed["delivery_address"]));
    let said = outbox(&shop.server.shop.db).await;
    let event = said.iter().find(|row| row.key == placed["id"]).unwrap();
    let event: Value = serde_json::from_str(&event.payload).unwrap();
    assert_eq!((&event["customer"], &event["delivery_address"]), (&placed["customer"], &placed["delivery_address"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_neither_has_is_told_field_by_field_with_how_to_set_it_and_nothing_is_written() {
    let shop = Shop::with_guests().await;
    let ann = shop.token("ann");
    let refused = async |body: Value| {
        let written = shop.written().await;
        let (status, problem) = shop.ask("POST", "", Some(&ann), Some(body)).await;
        assert_eq!((status, shop.written().await), (422, written), "{problem}");
        problem
    };
    let problem = refused(order_without(&["customer", "delivery_address"])).await;
    assert_eq!(fields(&problem), ["customer.name", "customer.email", "delivery_address"]);
    assert_eq!(problem["code"], "not_in_profile");
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("PUT /api/v1/customers/ann"), "{problem}");
    let problem = refused(order_without(&["customer.id", "customer.email"])).await;
    assert_eq!(fields(&problem), ["customer.email"]);

    let no_address = json!({"name": "Ann", "email": "ann@example.com"});
    assert_eq!(shop.ask("PUT", MINE, Some(&ann), Some(no_address)).await.0, 201);
    let problem = refused(order_without(&["customer", "delivery_address"])).await;
    assert_eq!(fields(&problem), ["delivery_address"]);
    // what is wrong with what it says comes before what it leaves out
    let mut nowhere = order_without(&["customer"]);
    nowhere["delivery_address"]["country"] = json!("ZZ");
    let problem = refused(nowhere).await;
    assert_eq!(fields(&problem), ["delivery_address.country"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_names_the_customer_whose_profile_counts() {
    let shop = Shop::with_guests().await;
    let sam = shop.token("sam");
    assert_eq!(shop.ask("PUT", "/api/v1/customers/ann", Some(&sam), Some(profile("9 Mill Rd"))).await.0, 201);
    let mut by_name = order_without(&["delivery_address"]);
    by_name["customer"] = json!({"id": "ann"});
    let (status, placed) = shop.ask("POST", "", Some(&sam), Some(by_name)).await;
    assert_eq!((status, &placed["customer"]["name"]), (202, &json!("Ann Kept")), "{placed}");
    for body in [order_without(&["customer"]), order_without(&["customer.id"])] {
        let (status, problem) = shop.ask("POST", "", Some(&sam), Some(body)).await;
        assert_eq!((status, fields(&problem)), (422, vec!["customer.id"]), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_asked_for_everything_and_gets_nobodys_profile() {
    let shop = Shop::with_guests().await;
    let (sam, ben) = (shop.token("sam"), shop.token("ben"));
    for (who, customer) in [(&sam, "ann"), (&ben, "ben")] {
        assert_eq!(
            shop.ask("PUT", &format!("/api/v1/customers/{customer}"), Some(who), Some(profile("9"))).await.0,
            201
        );
    }
    // as one may have come there before guests had no profiles
    shop.server.shop.db.run("update customers set id = 'guest-1' where id = 'ann'").await;
    let as_guest = |mut body: Value| {
        body["customer"]["id"] = json!("guest-1");
        body
    };
    let missing = [
        (as_guest(order_without(&["delivery_address"])), vec!["delivery_address"]),
        (as_guest(order_without(&["customer.name", "customer.email"])), vec!["customer.name", "customer.email"]),
        (order_without(&["customer"]), vec!["customer.id"]),
        (order_with("/customer/id", json!("ben")), vec!["customer.id"]),
    ];
    for (body, expected) in missing {
        let (status, problem) = shop.ask("POST", "", None, Some(body)).await;
        assert_eq!((status, fields(&problem)), (422, expected), "{problem}");
        assert!(!problem.to_string().contains("kept@example.com"), "{problem}");
    }
    let (status, problem) = shop.ask("POST", "", Some(&ben), Some(order_with("/customer", json!({"id": "ann"})))).await;
    assert_eq!((status, fields(&problem)), (422, vec!["customer.id"]), "somebody else's profile");
    assert_eq!(shop.server.shop.db.count("orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_asked_who_they_are_the_id_names_the_profile() {
    let server = Server::new().await;
    let put = server.client.put(format!("{}/api/v1/customers/c-7", server.root)).json(&profile("9 Mill Rd"));
    assert_eq!(answer(put).await.0, 201);
    let mut by_id = order_without(&["delivery_address"]);
    by_id["customer"] = json!({"id": "c-7"});
    let (status, placed) = answer(server.client.post(&server.url).json(&by_id)).await;
    assert_eq!((status, &placed["delivery_address"]["line1"]), (202, &json!("9 Mill Rd")), "{placed}");
    let (status, problem) = answer(server.client.post(&server.url).json(&order_without(&["customer"]))).await;
    assert_eq!((status, fields(&problem)), (422, vec!["customer.id"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gets_the_same_answer_whatever_became_of_the_profile() {
    let shop = Shop::with_guests().await;
    let ann = shop.token("ann");
    let post = async |body: &Value| {
        let request = shop.server.client.post(&shop.server.url).header("Idempotency-Key", "k").json(body);
        answer(request.bearer_auth(&ann)).await
    };
    let short = order_without(&["customer", "delivery_address"]);
    assert_eq!(post(&short).await.0, 422, "a refusal is not kept");
    assert_eq!(shop.ask("PUT", MINE, Some(&ann), Some(profile("9 Mill Rd"))).await.0, 201);
    let first = post(&short).await;
    assert_eq!(first.0, 202);
    assert_eq!(shop.ask("PUT", MINE, Some(&ann), Some(profile("10 Bridge St"))).await.0, 200);
    assert_eq!(post(&short).await, first);
    assert_eq!(post(&order_without(&["customer.id"])).await.0, 422, "another body");
}
