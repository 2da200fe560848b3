//! What a run says once it is up.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::cli::{KafkaWish, UpArgs};
use crate::plan::Plan;
use crate::service::Service;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Waits for `/readyz` of these services; returns those that weren't ready within a minute.
pub(super) async fn wait_until_ready(plan: &Plan, services: &[Service]) -> Vec<Service> {
    let until = Instant::now() + READY_WITHIN;
    let mut waiting = services.to_vec();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build().unwrap_or_default();
    while Instant::now() < until {
        let mut late = Vec::new();
        for service in waiting {
            let answer = client.get(format!("{}/readyz", plan.url(service))).send().await;
            if !answer.is_ok_and(|answer| answer.status().is_success()) {
                late.push(service);
            }
        }
        if late.is_empty() {
            return late;
        }
        waiting = late;
        sleep(Duration::from_millis(100)).await;
    }
    waiting
}

/// Prints where everything is and what to try.
pub(super) fn print(plan: &Plan, data: &Path, binary: &Path, arguments: &UpArgs, late: &[Service]) {
    let text = text(plan, data, binary, arguments, late);
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

fn text(plan: &Plan, data: &Path, binary: &Path, arguments: &UpArgs, late: &[Service]) -> String {
    let without = &arguments.without;
    let mut text = String::from("\nThe shop is open.\n\n");
    for service in plan.services() {
        let state = match service {
            left_out if without.contains(&left_out) => "  (left out)",
            slow if late.contains(&slow) => "  (not ready yet: see its log)",
            _ => "",
        };
        let _ = writeln!(text, "  {:18} {}{state}", service.name(), plan.url(service));
    }
    let _ = writeln!(text, "  {:18} {}{}", "kafka", plan.kafka.bootstrap, kind(&arguments.kafka));
    let _ = writeln!(
        text,
        "  {:18} {}:{}",
        "postgres",
        plan.postgres.host_str().unwrap_or_default(),
        plan.postgres.port().unwrap_or(5432)
    );
    let _ = writeln!(text, "  {:18} {}", "audit", plan.audit_url());
    let _ = writeln!(text, "  {:18} {}", "mails", plan.mails.display());
    let messages = format!("{}/sandbox/messages", plan.url(Service::SandboxGateway));
    let _ = writeln!(text, "  {:18} {messages}", "texts and pushes");
    let _ = writeln!(text, "  {:18} {}", "logs", data.join("logs").display());
    let _ = writeln!(text, "  {:18} {} (with passwords)", "all addresses", data.join("addresses.json").display());
    if plan.auth {
        let login = format!("{} login --data {}", binary.display(), data.display());
        let _ = write!(
            text,
            "\nBe somebody: this sets $CUSTOMER, $STAFF and $OPERATOR, for ten minutes.\n\n  eval \"$({login})\"\n"
        );
    }
    let _ = write!(text, "\nPlace an order:\n\n{}\n", order(plan));
    for service in without {
        let name = service.name();
        let _ = write!(
            text,
            "\nStart {name} alone, from a terminal or a debugger:\n\n  {}\n",
            plan.command_line(binary, *service)
        );
    }
    if !without.is_empty() && arguments.kafka == KafkaWish::Embedded {
        text.push_str("\nWhen this is started again, or the embedded broker is, end those first: topics are rebuilt while nobody relays.\n");
    }
    text.push_str("\nCtrl-C ends it all.\n\n");
    text
}

/// What an embedded broker is for, said before somebody takes it for more.
fn kind(kafka: &KafkaWish) -> &'static str {
    match kafka {
        KafkaWish::Embedded => {
            "  (embedded, in memory, for trying out and developing; rebuilt from the services' archives at each start;\n\
             \u{20}                    `quadrille up --kafka` takes Apache Kafka)"
        }
        KafkaWish::Apache | KafkaWish::Given(_) => "",
    }
}

fn order(plan: &Plan) -> String {
    let token = if plan.auth { " --oauth2-bearer $CUSTOMER" } else { "" };
    format!(
        r#"  curl -i {}/api/v1/orders{token} -H 'content-type: application/json' -d '{{
    "customer": {{"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"}},
    "delivery_address": {{"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"}},
    "currency": "EUR",
    "lines": [{{"sku": "TEA-EARL-GREY-250", "quantity": 2}}],
    "payment_method": "pm_card_visa"}}'
"#,
        plan.url(Service::OrderSvc)
    )
}
