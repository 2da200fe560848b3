//! A customer is forgotten in a running shop: after that a search for the person finds only what was named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use quadrille::login::{self, Person};
use quadrille::service::Service;
use quadrille_acceptance::{program, shop::Shop};
use quadrille_testing::tables_that_name;
use reqwest::{Client, Method, RequestBuilder};
use running::PATIENCE;
use serde_json::{Value, json};
use service_kit::pool;
use service_kit::testing::eventually;
use url::Url;

const NAME: &str = "Zoë Quill";
const MAIL: &str = "zoe.quill@example.org";
const STREET: &str = "17 Vellum Row";
const NEW_STREET: &str = "3 Parchment Way";
const PHONE: &str = "+353861234567";
const WORDS: [&str; 5] = [NAME, MAIL, STREET, NEW_STREET, PHONE];

/// A shop with an account of Zoë's, and what staff do there.
struct Zoes {
    shop: Shop,
    client: Client,
    staff: String,
    id: String,
    folder: tempfile::TempDir,
}

impl Zoes {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let shop = Shop::start(&program("quadrille").unwrap(), folder.path(), &[]).await.unwrap();
        let issuer = shop.addresses().unwrap().services[Service::SandboxIssuer.name()].url.clone();
        let (client, staff) = (Client::new(), login::token(&Url::parse(&issuer).unwrap(), Person::Sam).await.unwrap());
        let registers = json!({"email": MAIL, "password": "correct horse battery staple", "name": NAME});
        let account =
            client.post(format!("{issuer}/api/v1/account/auth/register")).json(&registers).send().await.unwrap();
        let account: Value = account.json().await.unwrap();
        let id = account["id"].as_str().unwrap().to_owned();
        Self { shop, client, staff, id, folder }
    }

    fn request(&self, method: Method, service: Service, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.shop.addresses().unwrap().services[service.name()].url);
        self.client.request(method, url).bearer_auth(&self.staff)
    }

    /// Staff ask for something under a key, so that what is answered is stored.
    async fn ask(&self, method: Method, service: Service, path: &str, body: Value) -> Value {
        let request = self.request(method, service, path).json(&body);
        let request = if path.contains("/customers/") { request } else { request.header("Idempotency-Key", path) };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn sets_her_profile(&self) {
        let body = json!({
            "name": NAME, "email": MAIL, "phone": PHONE, "delivery_address": address(STREET),
            "messages": {"order": ["email", "sms"], "payment": ["email"], "shipment": ["email", "sms"]},
        });
        self.ask(Method::PUT, Service::OrderSvc, &format!("/api/v1/customers/{}", self.id), body).await;
    }

    /// An order that leaves her name and address to her profile.
    async fn places(&self) -> String {
        let body = json!({
            "customer": {"id": self.id}, "currency": "EUR", "lines": [{"sku": running::TEA, "quantity": 2}],
            "payment_method": "pm_card_visa",
        });
        let request = self.request(Method::POST, Service::OrderSvc, "/api/v1/orders").json(&body);
        let key = format!("order-{:016x}", rand::random::<u64>());
        let answer = request.header("Idempotency-Key", key).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 202);
        let order: Value = answer.json().await.unwrap();
        assert_eq!(order["customer"]["email"], MAIL);
        let id = order["id"].as_str().unwrap().to_owned();
        self.shop.api.wait_for(&id, "confirmed").await.unwrap();
        id
    }

    /// Sends everything and has it arrive; returns the parcel.
    async fn arrives(&self, order: &str) -> String {
        let parcel = self.shop.api.shipment_of(order).await.unwrap();
        let carrier = json!({"carrier": "An Post", "tracking_number": "AP-1"});
        self.shop.api.ship(&parcel, "dispatch", &carrier).await.unwrap();
        self.shop.api.ship(&parcel, "deliver", &json!({})).await.unwrap();
        self.shop.api.wait_for(order, "completed").await.unwrap();
        parcel
    }

    async fn moves_house(&self, order: &str) {
        let path = format!("/api/v1/orders/{order}/delivery-address");
        self.ask(Method::PUT, Service::OrderSvc, &path, address(NEW_STREET)).await;
        eventually("the order goes elsewhere", PATIENCE, async || {
            self.shop.api.order(order).await.unwrap()["delivery_address"]["line1"] == NEW_STREET
        })
        .await;
    }

    async fn sends_back(&self, order: &str, parcel: &str) {
        let path = format!("/api/v1/shipments/{parcel}/return");
        let lines = json!({"lines": [{"sku": running::TEA, "quantity": 1}]});
        let returned = self.ask(Method::POST, Service::StockSvc, &path, lines).await;
        assert_eq!(returned["delivery_address"]["line1"], STREET);
        self.until_refunded(order).await;
    }

    async fn is_refunded(&self, order: &str) {
        let payments = self.request(Method::GET, Service::PaymentSvc, &format!("/api/v1/payments?order_id={order}"));
        let payments: Value = payments.send().await.unwrap().json().await.unwrap();
        let path = format!("/api/v1/payments/{}/refunds", payments["items"][0]["id"].as_str().unwrap());
        let body =
            json!({"amount": {"amount": 500, "currency": "EUR"}, "reason": format!("{NAME} found a dented tin")});
        self.ask(Method::POST, Service::PaymentSvc, &path, body).await;
        self.until_refunded(order).await;
    }

    async fn until_refunded(&self, order: &str) {
        eventually("money goes back", PATIENCE, async || {
            self.shop.api.order(order).await.unwrap()["payment"] == "refunded"
        })
        .await;
    }

    fn mails(&self) -> Vec<String> {
        let mails = fs::read_dir(self.shop.addresses().unwrap().mails).unwrap();
        mails.map(|mail| mail.unwrap().file_name().into_string().unwrap()).collect()
    }

    async fn until_written_to(&self, orders: &[&String], template: &str) {
        eventually(template, PATIENCE, async || {
            let mails = self.mails();
            orders.iter().all(|order| mails.iter().any(|mail| mail.starts_with(&format!("{order}.{template}."))))
        })
        .await;
    }

    fn tool(&self, arguments: &[&str]) -> Output {
        tool(self.shop.data(), arguments)
    }

    /// What is said, and whether all is done but what has a day.
    fn forgets(&self) -> (Report, bool) {
        let output = self.tool(&["forget", &self.id]);
        let (said, why) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(said.contains("is forgotten"), "{said}{why}");
        (Report { left: left_by(&said), said, why }, output.status.success())
    }

    /// Where a search finds the person: tables, topics, the mail folder.
    async fn found(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (service, address) in self.shop.addresses().unwrap().services {
            let Some(url) = address.database else { continue };
            let mut conn = pool::connect_to_read(&url).await.unwrap();
            let tables = tables_that_name(&mut conn, &WORDS).await;
            found.extend(tables.into_iter().map(|table| format!("{}.{table}", service.replace('-', "_"))));
        }
        found.extend(topics_that_name(&String::from_utf8(self.tool(&["tail", "--to-end"]).stdout).unwrap()));
        let folder = self.shop.addresses().unwrap().mails;
        let mails = self.mails().into_iter().map(|mail| fs::read_to_string(folder.join(mail)).unwrap());
        // a mail's text is encoded, its recipient and its subject's order are not
        if mails.into_iter().any(|mail| mail.contains(MAIL)) {
            found.insert("mail folder".to_owned());
        }
        found
    }
}

struct Report {
    /// What it says of each place that still has something of the person.
    left: BTreeMap<String, String>,
    said: String,
    why: String,
}

fn address(street: &str) -> Value {
    json!({"line1": street, "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"})
}

fn tool(data: &Path, arguments: &[&str]) -> Output {
    let data = ["--data", data.to_str().unwrap()];
    Command::new(program("quadrille").unwrap()).env_clear().args(arguments).args(data).output().unwrap()
}

/// Of the report's table the rows with something left, and until when.
fn left_by(said: &str) -> BTreeMap<String, String> {
    let rows = said.lines().skip_while(|line| !line.starts_with("PLACE")).skip(1).take_while(|line| !line.is_empty());
    let left = rows.filter_map(|row| {
        let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let [place, _, left, ..] = cells[..] else { panic!("{row}") };
        (left != "0").then(|| (place.to_owned(), cells.get(3).copied().unwrap_or_default().to_owned()))
    });
    left.collect()
}

/// The topics in which a record names the person.
fn topics_that_name(tail: &str) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    let mut topic = "";
    for line in tail.lines() {
        match line.strip_prefix("    ") {
            Some(content) if WORDS.iter().any(|word| content.contains(word)) => drop(topics.insert(topic.to_owned())),
            Some(_) => {}
            None => topic = line.rsplit_once(' ').unwrap().1.split('[').next().unwrap(),
        }
    }
    topics
}

fn has_a_day(until: &str) -> bool {
    let is_date = |word: &str| word.len() == 10 && word.split('-').map(str::len).eq([4, 2, 2]);
    until.split(' ').any(is_date) || until == "this run ends"
}

#[tokio::test(flavor = "multi_thread")]
async fn after_forget_a_search_for_the_person_finds_only_what_the_report_has_named() {
    let mut zoes = Zoes::open().await;
    zoes.sets_her_profile().await;
    let (arrived, moved, cancelled, goes_on) =
        (zoes.places().await, zoes.places().await, zoes.places().await, zoes.places().await);
    let parcel = zoes.arrives(&arrived).await;
    zoes.sends_back(&arrived, &parcel).await;
    zoes.moves_house(&moved).await;
    zoes.arrives(&moved).await;
    zoes.is_refunded(&moved).await;
    zoes.shop.api.cancel(&cancelled).await.unwrap();
    zoes.shop.api.wait_for(&cancelled, "cancelled").await.unwrap();
    let others = zoes.shop.confirm_an_order().await.unwrap();
    zoes.until_written_to(&[&arrived, &moved, &cancelled, &goes_on], "order_confirmed").await;
    zoes.until_written_to(&[&arrived, &moved], "payment_refunded").await;
    zoes.until_written_to(&[&cancelled], "order_cancelled").await;
    let everywhere = zoes.found().await;
    for place in ["order_svc.orders", "stock_svc.shipments", "payment_svc.refunds", "notification_svc.notifications"] {
        assert!(everywhere.contains(place), "{place}: {everywhere:?}");
    }
    let looked = zoes.tool(&["forget", &zoes.id, "--dry-run"]);
    assert!(
        looked.status.success() && String::from_utf8_lossy(&looked.stdout).contains("order_svc.orders"),
        "{looked:?}"
    );
    assert_eq!(zoes.found().await, everywhere, "looking takes nothing");

    let (report, done) = zoes.forgets();
    assert!(!done && report.why.contains("1 orders go on"), "{}{}", report.said, report.why);
    assert_eq!(zoes.found().await, report.left.keys().cloned().collect(), "{}", report.said);

    zoes.arrives(&goes_on).await;
    let (report, done) = zoes.forgets();
    assert!(done, "{}{}", report.said, report.why);
    let found = zoes.found().await;
    assert_eq!(found, report.left.keys().cloned().collect(), "{}", report.said);
    assert!(report.left.values().all(|until| has_a_day(until)), "{}", report.said);
    let kept = ["orders.v1", "customers.v1", "order_svc.outbox_archive"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(kept));

    let shown = zoes.shop.api.order(&arrived).await.unwrap();
    assert_eq!(
        (&shown["customer"], &shown["delivery_address"]),
        (&json!({"id": zoes.id, "name": null, "email": null}), &Value::Null)
    );
    assert_eq!(zoes.shop.api.order(&others).await.unwrap()["customer"]["name"], "Ann Lee", "nobody else is forgotten");
    for tool in [&["audit"][..], &["order", "show", &arrived], &["order", "show", &cancelled]] {
        let output = zoes.tool(tool);
        assert!(output.status.success(), "{tool:?}: {output:?}");
    }
    assert!(zoes.forgets().1, "it can be run again");
    zoes.shop.stop().await.unwrap();
    drop(zoes.folder);
}
