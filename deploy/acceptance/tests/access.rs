//! Every route of every service on a running shop, by everybody there is: each answer is what the access tables say.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says its counts"
)]

mod running;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use quadrille::login::{self, Person};
use quadrille::service::Service;
use quadrille_acceptance::{program, shop::Shop};
use reqwest::{Client, Method};
use running::PATIENCE;
use serde_json::{Value, json};
use service_kit::auth::{Access, Rule, Who};
use service_kit::testing::eventually;
use url::Url;

const TABLES: [(Service, Access); 4] = [
    (Service::OrderSvc, order_svc::http::ACCESS),
    (Service::StockSvc, stock_svc::http::ACCESS),
    (Service::PaymentSvc, payment_svc::http::ACCESS),
    (Service::NotificationSvc, notification_svc::http::ACCESS),
];

/// The owner of the first order, and of the profile that is asked for.
const ANN: &str = "c-1001";

/// Somebody who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    Nobody,
    Owner,
    OtherCustomer,
    /// With the link to the order, or to another.
    Guest,
    OtherGuest,
    Staff,
    Operator,
    Machine,
}

const CALLERS: [Caller; 8] = [
    Caller::Nobody,
    Caller::Owner,
    Caller::OtherCustomer,
    Caller::Guest,
    Caller::OtherGuest,
    Caller::Staff,
    Caller::Operator,
    Caller::Machine,
];

/// What may be answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    NotKnownWho,
    NotAllowed,
    DoesNotExist,
    /// Anything else, be it that the request makes no sense.
    LetIn,
}

struct Visit {
    client: Client,
    shop: Shop,
    tokens: BTreeMap<Caller, String>,
    /// What stands for the parts of paths, where a customer asks and where a guest does.
    of_owner: BTreeMap<&'static str, String>,
    of_guest: BTreeMap<&'static str, String>,
}

impl Visit {
    fn url(&self, service: Service, path: &str) -> String {
        format!("{}{path}", self.shop.addresses().unwrap().services[service.name()].url)
    }

    async fn ask(&self, method: &str, url: String, token: Option<&String>, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.client.request(method.parse::<Method>().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let is_stream = answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        (status, if is_stream { Value::Null } else { answer.json().await.unwrap_or_default() })
    }

    async fn placed(&self, token: Option<&String>, customer: &str) -> Value {
        let body = json!({
            "customer": {"id": customer, "name": "Ann Lee", "email": "ann@example.com"},
            "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
            "currency": "EUR", "lines": [{"sku": running::TEA, "quantity": 1}], "payment_method": "pm_card_visa",
        });
        let (status, order) = self.ask("POST", self.url(Service::OrderSvc, "/api/v1/orders"), token, Some(&body)).await;
        assert_eq!(status, 202, "{order}");
        order
    }

    /// The ids of an order and of its payment, first message and first parcel.
    async fn ids_of(&self, order: &Value) -> BTreeMap<&'static str, String> {
        let order = order["id"].as_str().unwrap().to_owned();
        let mut ids = BTreeMap::new();
        let lists = [
            ("/payments/", Service::PaymentSvc, "payments"),
            ("/notifications/", Service::NotificationSvc, "notifications"),
            ("/shipments/", Service::StockSvc, "shipments"),
        ];
        for (part, service, list) in lists {
            let url = self.url(service, &format!("/api/v1/{list}?order_id={order}"));
            let first = async || {
                let (_, page) = self.ask("GET", url.clone(), self.tokens.get(&Caller::Staff), None).await;
                page["items"][0]["id"].as_str().map(str::to_owned)
            };
            eventually(list, PATIENCE, async || first().await.is_some()).await;
            ids.insert(part, first().await.unwrap());
        }
        ids.insert("/orders/", order);
        ids.insert("/customers/", ANN.to_owned());
        ids
    }

    fn path(rule: &Rule, ids: &BTreeMap<&'static str, String>) -> String {
        let mut path = rule.route.replace("{sku}", running::TEA).replace("{refund_id}", &ids["/payments/"]);
        for (part, id) in ids {
            path = path.replace(&format!("{part}{{id}}"), &format!("{part}{id}"));
        }
        assert!(!path.contains('{'), "{path} has a part that nobody knows");
        path
    }
}

/// A body that is wrong is refused before it is looked up whose order it is, whoever asks.
fn body_of(rule: &Rule) -> Value {
    match rule.route.ends_with("/delivery-address") {
        true => json!({"line1": "2 Mill Rd", "city": "Galway", "postal_code": "H91", "country": "IE"}),
        false => json!({}),
    }
}

/// What the table says. Only order-svc knows guests' links; to the others such a token is none.
fn expected(service: Service, rule: &Rule, caller: Caller) -> Answer {
    let is_for = |who: Who| rule.who.contains(&who);
    if is_for(Who::Anybody) {
        return Answer::LetIn;
    }
    let has_owner = rule.route.contains("{id}");
    match caller {
        Caller::Nobody if is_for(Who::Visitor) => Answer::LetIn,
        Caller::Nobody => Answer::NotKnownWho,
        Caller::Guest | Caller::OtherGuest if service != Service::OrderSvc => Answer::NotKnownWho,
        Caller::Guest if is_for(Who::Guest) => Answer::LetIn,
        Caller::OtherGuest if is_for(Who::Guest) => Answer::DoesNotExist,
        Caller::OtherCustomer if is_for(Who::Customer) && has_owner => Answer::DoesNotExist,
        Caller::Owner | Caller::OtherCustomer if is_for(Who::Customer) => Answer::LetIn,
        Caller::Staff if is_for(Who::Staff) => Answer::LetIn,
        Caller::Operator if is_for(Who::Operator) => Answer::LetIn,
        Caller::Machine if is_for(Who::Machine("orders.read")) || is_for(Who::Machine("orders.write")) => Answer::LetIn,
        _ => Answer::NotAllowed,
    }
}

const fn seen(status: u16) -> Answer {
    match status {
        401 => Answer::NotKnownWho,
        403 => Answer::NotAllowed,
        404 => Answer::DoesNotExist,
        _ => Answer::LetIn,
    }
}

async fn visit() -> (Visit, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let shop = Shop::start(&program("quadrille").unwrap(), folder.path(), &[]).await.unwrap();
    let addresses = shop.addresses().unwrap();
    let issuer = Url::parse(&addresses.services[Service::SandboxIssuer.name()].url).unwrap();
    let mut tokens = BTreeMap::new();
    let people = [
        (Caller::Owner, Person::Ann),
        (Caller::OtherCustomer, Person::Ben),
        (Caller::Staff, Person::Sam),
        (Caller::Operator, Person::Olga),
    ];
    for (caller, person) in people {
        tokens.insert(caller, login::token(&issuer, person).await.unwrap());
    }
    let client = Client::new();
    let form = client.post(format!("{}token", issuer)).basic_auth("shop", Some("sandbox-shop"));
    let answer = form.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    tokens.insert(Caller::Machine, answer["access_token"].as_str().unwrap().to_owned());
    let mut visit = Visit { client, shop, tokens, of_owner: BTreeMap::new(), of_guest: BTreeMap::new() };
    for caller in [Caller::Owner, Caller::OtherCustomer] {
        let url = visit.url(Service::OrderSvc, "/api/v1/customers/me");
        let profile = json!({"name": "Ann Lee", "email": "ann@example.com"});
        let (status, set) = visit.ask("PUT", url, visit.tokens.get(&caller), Some(&profile)).await;
        assert_eq!(status, 201, "{set}");
    }
    let owned = visit.placed(visit.tokens.get(&Caller::Owner), ANN).await;
    let guests = [visit.placed(None, "guest-1").await, visit.placed(None, "guest-2").await];
    for (caller, order) in [Caller::Guest, Caller::OtherGuest].into_iter().zip(&guests) {
        let link = order["links"]["guest"].as_str().unwrap();
        visit.tokens.insert(caller, link.rsplit_once('=').unwrap().1.to_owned());
    }
    visit.of_owner = visit.ids_of(&owned).await;
    visit.of_guest = visit.ids_of(&guests[0]).await;
    (visit, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_answers_each_caller_as_its_table_says() {
    let (mut visit, _folder) = visit().await;
    let mut counts = BTreeMap::new();
    let mut wrong = vec![];
    for (service, access) in TABLES {
        // what is only looked at first: afterwards the order may have ended
        let (reads, writes): (Vec<_>, Vec<_>) = access.0.iter().partition(|rule| rule.method == "GET");
        for rule in reads.into_iter().chain(writes) {
            for caller in CALLERS {
                let is_guest = matches!(caller, Caller::Guest | Caller::OtherGuest);
                let ids = if is_guest { &visit.of_guest } else { &visit.of_owner };
                let url = visit.url(service, &Visit::path(rule, ids));
                let body = (rule.method != "GET" && rule.method != "DELETE").then(|| body_of(rule));
                // nothing is withdrawn, so that what follows finds it
                let url = if rule.method == "DELETE" { format!("{url}-NONE") } else { url };
                let (status, answer) = visit.ask(rule.method, url, visit.tokens.get(&caller), body.as_ref()).await;
                let (expected, seen) = (expected(service, rule, caller), seen(status));
                let may_be_missing =
                    expected == Answer::LetIn && seen == Answer::DoesNotExist && rule.method == "DELETE";
                if seen != expected && !may_be_missing {
                    wrong.push(format!(
                        "{caller:?} {} {}: {status}, expected {expected:?}: {answer}",
                        rule.method, rule.route
                    ));
                }
                *counts.entry(format!("{seen:?}")).or_insert(0) += 1;
            }
        }
    }
    let asked: i32 = counts.values().sum();
    eprintln!(
        "{asked} requests by {} callers on {} routes: {counts:?}",
        CALLERS.len(),
        TABLES.iter().map(|(_, table)| table.0.len()).sum::<usize>()
    );
    assert_eq!(wrong, Vec::<String>::new());
    visit.shop.stop().await.unwrap();
}
