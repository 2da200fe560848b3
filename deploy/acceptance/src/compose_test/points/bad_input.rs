//! What is wrong stops its container with one clear line, and nothing is written.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use tokio::task::JoinSet;

use super::super::engine;
use super::super::shell::{a_moment, last_lines};
use super::super::stack::Stack;
use super::WELL_AGAIN;

/// They are nine at once, and on a busy machine the engine alone takes a minute to make as many containers.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
const SECRET: &str = "hunter2-not-to-be-shown";

/// A one-off container with something wrong: what is set, and what its one line must say.
struct Wrong {
    service: &'static str,
    set: &'static str,
    says: &'static [&'static str],
}

const WRONG: [Wrong; 9] = [
    Wrong { service: "order-svc", set: "ORDER_DEADLINE=nonsense", says: &["ORDER_DEADLINE", "nonsense", "a duration"] },
    Wrong { service: "order-svc", set: "KAFKA_BOOTSTRAP_SERVERS=", says: &["KAFKA_BOOTSTRAP_SERVERS", "is not set"] },
    Wrong { service: "payment-svc", set: "PAYMENT_GATEWAY_KEY=", says: &["PAYMENT_GATEWAY_KEY", "is not set"] },
    Wrong { service: "notification-svc", set: "MAIL_TRANSPORT=pigeon", says: &["MAIL_TRANSPORT", "smtp://"] },
    Wrong { service: "order-relay", set: "OUTBOX_RELAY_DATABASES=", says: &["OUTBOX_RELAY_DATABASES", "is not set"] },
    Wrong {
        service: "order-svc",
        set: "DATABASE_URL=postgres://order_svc:hunter2-not-to-be-shown@postgres:5432/order_svc",
        says: &["DATABASE_URL", "postgres:5432/order_svc", "password authentication failed"],
    },
    Wrong {
        service: "order-svc",
        set: "KAFKA_SASL_PASSWORD=hunter2-not-to-be-shown",
        says: &["does not answer", "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"],
    },
    Wrong { service: "stock-svc", set: "AUTH=off", says: &["AUTH is refused", "loopback"] },
    Wrong { service: "databases", set: "PGPASSWORD=hunter2-not-to-be-shown", says: &["POSTGRES_PASSWORD"] },
];

pub(in crate::compose_test) async fn variables(stack: &Stack) -> anyhow::Result<String> {
    let mut trying = JoinSet::new();
    for wrong in &WRONG {
        let stack = stack.clone();
        trying.spawn(async move {
            one_off(&stack, wrong.service, wrong.set, wrong.says).await.with_context(|| shown(wrong))
        });
    }
    let mut lines = Vec::new();
    while let Some(line) = trying.join_next().await {
        lines.push(line??);
    }
    let example = lines.iter().min_by_key(|line| line.len()).context("nothing was tried")?;
    Ok(format!(
        "{} wrong or missing variables: each ended its container with one line that names it, such as \"{example}\"",
        WRONG.len()
    ))
}

fn shown(wrong: &Wrong) -> String {
    format!("{} with {}", wrong.service, wrong.set.replace(SECRET, "a wrong password"))
}

/// Starts a container of a service that must end with one line saying all of `says`. Returns the line.
async fn one_off(stack: &Stack, service: &str, set: &str, says: &[&str]) -> anyhow::Result<String> {
    let arguments = ["run", "--rm", "--no-deps", "-T", "-e", set, service];
    let output = stack.compose(&arguments, ENDS_WITHIN).await?;
    ensure!(!output.success, "it ended as if all were well: {}", last_lines(&output.text, 3));
    ensure!(!output.text.contains(SECRET), "it shows the password");
    one_line(&output.text, says)
}

fn one_line(text: &str, says: &[&str]) -> anyhow::Result<String> {
    let fits = |line: &&str| says.iter().all(|word| line.contains(word));
    let lines: Vec<_> = text.lines().filter(fits).collect();
    match lines.as_slice() {
        [line] => Ok((*line).trim().to_owned()),
        [] => bail!("no line says {}: {}", says.join(", "), last_lines(text, 4)),
        more => bail!("{} lines say {}", more.len(), says.join(", ")),
    }
}

/// The database was migrated by a newer program.
pub(in crate::compose_test) async fn newer_schema(stack: &Stack) -> anyhow::Result<String> {
    const VERSION: &str = "20990101000000";
    let insert = format!("insert into __diesel_schema_migrations (version) values ('{VERSION}')");
    let count = "select count(*) from __diesel_schema_migrations";
    let before = stack.sql("order_svc", count).await?;
    stack.sql("order_svc", &insert).await?;
    let told = one_off(stack, "order-svc", "RUST_LOG=info", &["newer", VERSION]).await;
    stack.sql("order_svc", &format!("delete from __diesel_schema_migrations where version = '{VERSION}'")).await?;
    told?;
    ensure!(stack.sql("order_svc", count).await? == before, "the table of migrations was written to");
    Ok(format!("order-svc refuses a schema with migration {VERSION}, and wrote nothing"))
}

/// The port inside the container is taken: the program starts beside the one that has it, in the same network.
pub(in crate::compose_test) async fn port_taken_inside(stack: &Stack) -> anyhow::Result<String> {
    let running = stack.only("notification-svc").await?;
    let network = format!("container:{}", running.id);
    let variables: Vec<_> =
        running.fact("/Config/Env").as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
    let image = running.fact("/Config/Image").as_str().context("an image")?;
    let mut arguments = vec!["run", "--rm", "--network", &network];
    arguments.extend(variables.iter().flat_map(|variable| ["--env", variable]));
    // were it to get so far, it must not take the running one's place in the group
    arguments.extend(["--env", "GROUP_INSTANCE_ID=in-the-way", image, "notification-svc"]);
    let (success, said) = engine::tried(&arguments).await?;
    ensure!(!success, "it ended as if all were well");
    one_line(&said, &["can't listen on", "8083", "HTTP_ADDR"])?;
    Ok("inside a container: one line names the address and HTTP_ADDR".to_owned())
}

/// The port on the host is taken: that is told by the engine, and the shop goes on once it is free.
pub(in crate::compose_test) async fn port_taken_on_the_host(stack: &Stack) -> anyhow::Result<String> {
    let service = "notification-svc";
    stack.compose(&["stop", service], ENDS_WITHIN).await?.ok("docker compose stop")?;
    let taken = listen("127.0.0.1:8083").await?;
    let refused = stack.compose(&["up", "-d", "--no-deps", service], ENDS_WITHIN).await?;
    drop(taken);
    let up = stack.compose(&["up", "-d", "--no-deps", service], WELL_AGAIN).await?;
    ensure!(!refused.success, "`up` went well with port 8083 taken");
    ensure!(refused.text.contains("8083"), "`up` doesn't name the port: {}", last_lines(&refused.text, 3));
    up.ok("docker compose up with the port free again")?;
    stack.until_well(WELL_AGAIN).await?;
    Ok("on the host: `up` names it, and goes on when it is free".to_owned())
}

/// The engine lets go of a port a moment after its container has stopped.
async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    let until = Instant::now() + ENDS_WITHIN;
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if Instant::now() >= until => bail!("{address} can't be taken: {error}"),
            Err(_) => a_moment().await,
        }
    }
}
