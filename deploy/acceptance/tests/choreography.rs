//! What the console's map says of who hears what is what the services hear.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use service_kit::consumer::Subscription;

const DECLARED: &str = include_str!("../../console/assets/choreography.json");

fn topics(subscriptions: Vec<Subscription>) -> Vec<String> {
    subscriptions.into_iter().map(|subscription| subscription.topic).collect()
}

#[test]
fn the_map_shows_what_each_service_hears() {
    let mut declared: BTreeMap<String, Vec<String>> = serde_json::from_str(DECLARED).unwrap();
    declared.remove("console").unwrap();
    let heard = BTreeMap::from([
        ("order-svc".to_owned(), topics(order_svc::reactions::subscriptions())),
        ("stock-svc".to_owned(), topics(stock_svc::reactions::subscriptions())),
        ("payment-svc".to_owned(), topics(payment_svc::reactions::subscriptions())),
        ("notification-svc".to_owned(), topics(notification_svc::reactions::subscriptions())),
    ]);
    assert_eq!(declared, heard);
}
