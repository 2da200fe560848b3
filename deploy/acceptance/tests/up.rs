//! `quadrille up` as a person runs it: the real programs on a PostgreSQL and a Kafka of their own.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::{os::unix::fs::PermissionsExt, process::Command};

use quadrille_acceptance::{program, shop::Shop};

/// A folder that PostgreSQL's user can reach too.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_confirms_an_order_starts_again_what_dies_and_ends_in_order_on_ctrl_c() {
    let folder = open_folder();
    let mut shop = Shop::start(&program("quadrille").unwrap(), folder.path(), &[]).await.unwrap();
    let order = shop.confirm_an_order().await.unwrap();
    let shown = said_of(&shop, &["order", "show", &order]);
    for part in ["confirmed, placed ", "order.placed ", "order.confirmed ", "orders.v1[", "authorise  begun "] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let played = said_of(&shop, &["demo"]);
    for end in [
        "=> completed.",
        "=> cancelled (payment_declined).",
        "=> cancelled (out_of_stock).",
        "payment.refunded ",
        "the gateway's journal: authorise 25.98 EUR, void 25.98 EUR",
    ] {
        assert!(played.contains(end), "{end} is not in {played}");
    }
    let services = shop.addresses().unwrap().services;
    let urls = ["--stock-url", &services["stock-svc"].url, "--order-url", &services["order-svc"].url];
    let again = Command::new(program("quadrille").unwrap()).arg("catalogue").args(urls).output().unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.starts_with("0 products were added, 58 were there"), "{again:?}");
    shop.kill("stock-svc").unwrap();
    shop.confirm_an_order().await.unwrap();
    let processes = shop.addresses().unwrap().processes;
    shop.stop().await.unwrap();
    assert!(processes.values().all(|process| !process.is_alive()));
    assert!(!shop.data().join("addresses.json").exists());
}

/// What a tool says of a running shop.
fn said_of(shop: &Shop, arguments: &[&str]) -> String {
    let data = ["--data", shop.data().to_str().unwrap()];
    let output = Command::new(program("quadrille").unwrap()).env_clear().args(arguments).args(data).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_shop_on_the_same_data_is_refused_and_a_killed_runners_children_make_way_for_the_next() {
    let folder = open_folder();
    let mut shop = Shop::start(&program("quadrille").unwrap(), folder.path(), &[]).await.unwrap();
    let order = shop.confirm_an_order().await.unwrap();
    let second = Command::new(program("quadrille").unwrap())
        .args(["up", "--free-ports", "--data"])
        .arg(shop.data())
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("running already"), "{said}");

    let orphans = shop.addresses().unwrap().processes;
    shop.kill_runner().await.unwrap();
    assert!(orphans.values().any(|process| process.is_alive()));
    shop.start_again(&[]).await.unwrap();
    assert!(orphans.values().all(|process| !process.is_alive()));
    shop.must_know(&order).await.unwrap();
    shop.stop().await.unwrap();
}

#[test]
fn a_service_that_lacks_its_configuration_ends_at_once_and_names_the_variables() {
    let output = Command::new(program("quadrille").unwrap()).args(["run", "order-svc"]).env_clear().output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("DATABASE_URL is not set") && said.contains("KAFKA_BOOTSTRAP_SERVERS is not set"), "{said}");
}
