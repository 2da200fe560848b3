//! What an alarm asks of relays: who leads which outbox, and how long rows were on their way.

mod support;

use outbox_relay::{Relay, RelayConfig, State};
use service_kit::config::{LogFormat, TelemetryConfig};
use service_kit::telemetry;
use service_kit::testing::{TestDb, eventually};
use support::{SOON, commit, relay_to_tests_kafka, row, topic, used_database};
use tokio_util::sync::CancellationToken;

/// The value of a metric of this relay and database, if it has one.
fn value(metric: &str, relay: &str, more: &str) -> Option<f64> {
    let rendered = telemetry::render_metrics();
    let (name, relay) = (format!("{metric}{{"), format!("relay=\"{relay}\""));
    let line = rendered.lines().find(|line| line.starts_with(&name) && line.contains(&relay) && line.contains(more))?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn started(config: RelayConfig, expected: State) -> CancellationToken {
    let (relay, stop) = (Relay::to_kafka(config), CancellationToken::new());
    let health = relay.health();
    tokio::spawn(relay.run(stop.clone()));
    eventually("it works", SOON, async || health.state() == expected).await;
    stop
}

fn named(db: &TestDb, name: &str) -> RelayConfig {
    RelayConfig { name: name.to_owned(), ..relay_to_tests_kafka(db) }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_of_one_outbox_say_who_of_them_leads_and_how_long_rows_were_on_their_way() {
    telemetry::init("test", &TelemetryConfig { filter: "off".to_owned(), format: LogFormat::Json, tracing: None })
        .unwrap();
    let db = used_database().await;
    let place = service_kit::pool::place(&db.url);
    let database = format!("database=\"{}\"", place.rsplit_once('/').unwrap().1);
    let leading = |relay: &str| value("outbox_relay_leading", relay, &database);

    let first = started(named(&db, "first"), State::Leading).await;
    let second = started(named(&db, "second"), State::StandingBy).await;
    assert_eq!((leading("first"), leading("second")), (Some(1.0), Some(0.0)));
    assert_eq!(value("outbox_relay_outage", "first", &database), Some(0.0));

    let topic = topic(&[]).await;
    commit(&db, (0..10).map(|number| row(&topic, "k", number)).collect()).await;
    let delivered = |bound: &str| value("outbox_relay_delivery_seconds_bucket", "first", &format!("le=\"{bound}\""));
    eventually("all rows are delivered", SOON, async || delivered("+Inf") == Some(10.0)).await;
    assert!(delivered("2").is_some() && delivered("5").is_some(), "the objective has its bounds");

    first.cancel();
    eventually("the other leads", SOON, async || (leading("first"), leading("second")) == (Some(0.0), Some(1.0))).await;
    second.cancel();
}
