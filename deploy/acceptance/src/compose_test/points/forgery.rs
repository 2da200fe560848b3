//! Forging an event, reading what one doesn't hear and taking another's place in its group are refused by the broker: to each
//! service, each relay, the tools, and whoever comes from this machine without a name.

use anyhow::{Context, ensure};

use super::super::stack::{KAFKA, KAFKA_BY_NAME, Stack};
use crate::forgery::{self, Doors};

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let jaas = stack.kafka_users().await?;
    let principals = forgery::principals(&jaas);
    let (doors, count) = (Doors { named: KAFKA_BY_NAME.to_owned(), anonymous: KAFKA.to_owned() }, principals.len());
    let counts = forgery::try_everything(&doors, &principals, false).await?;
    for service in ["order", "stock", "payment", "notification"] {
        for program in [format!("{service}-svc"), format!("{service}-relay")] {
            let container = stack.only(&program).await?;
            let user = container.variable("KAFKA_SASL_USERNAME").context("no KAFKA_SASL_USERNAME")?;
            ensure!(user == program, "{program} logs in as {user}");
        }
    }
    Ok(format!("of {count} principals, each a service's, a relay's, the tools' or nobody's: {counts}"))
}
