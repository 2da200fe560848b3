//! What the containers may do, as the engine tells it.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::super::{engine::Container, stack::Stack, tour::Tour};

/// Not our programs: they have a user of their own or drop their rights themselves.
const OTHERS: [&str; 5] = ["postgres", "kafka", "mailpit", "kafka-ui", "traefik"];
const USER: &str = "10001:10001";

pub(in crate::compose_test) async fn try_out(stack: &Stack, tour: &Tour) -> anyhow::Result<String> {
    let containers = stack.containers().await?;
    let (mut ours, mut ports) = (0, BTreeSet::new());
    for container in &containers {
        for published in container.published() {
            ensure!(
                published.address == "127.0.0.1",
                "{} publishes {} on {}",
                container.service,
                published.port,
                published.address
            );
            ensure!(
                tour.rows.iter().any(|row| row.split(|char: char| !char.is_ascii_digit()).any(|n| n == published.port)),
                "port {} of {} is not in the table of docs/OPERATIONS.md",
                published.port,
                container.service
            );
            ports.insert(published.port);
        }
        ensure!(container.fact("/HostConfig/Memory").as_i64() > Some(0), "{} has no memory limit", container.service);
        ensure!(container.fact("/State/OOMKilled") == false, "{} ran out of memory", container.service);
        ensure!(container.fact("/HostConfig/Privileged") == false, "{} is privileged", container.service);
        if !OTHERS.contains(&container.service.as_str()) {
            must_be_able_to_do_nothing(container)?;
            ours += 1;
        }
    }
    ensure!(ours > 0, "no container of ours runs");
    Ok(format!(
        "{ours} containers of ours as {USER} with a read-only root and no capabilities; {} ports, all on 127.0.0.1 and in \
         the table of docs/OPERATIONS.md; every container has a memory limit",
        ports.len()
    ))
}

fn must_be_able_to_do_nothing(container: &Container) -> anyhow::Result<()> {
    let expected: [(&str, Value); 4] = [
        ("/Config/User", json!(USER)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/CapAdd", Value::Null),
    ];
    for (pointer, wanted) in expected {
        let found = container.fact(pointer);
        if *found != wanted && !(wanted.is_null() && *found == json!([])) {
            bail!("{}: {pointer} is {found}, expected {wanted}", container.service);
        }
    }
    // PostgreSQL's image brings a volume, which a job that only runs its psql gets, too; it is another user's
    let brought = container.service == "databases";
    let mut mounts = container.fact("/Mounts").as_array().into_iter().flatten();
    let writable = mounts.find(|mount| mount["RW"] == true && !(brought && mount["Type"] == "volume"));
    ensure!(writable.is_none(), "{} can write to {}", container.service, writable.unwrap_or(&Value::Null));
    Ok(())
}
