//! Whether everything is as it must be, once all is quiet: the audit's rules, and the run's own ledger against the services, the
//! gateway and the topics.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use quadrille::addresses::Addresses;
use quadrille::api::{Api, Journal, number, text};
use quadrille::records::OF_ORDERS;
use quadrille::service::Service;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::ledger::Entry;
use super::lives::{ON_HAND, SKU};
use crate::accept::{events, points};

/// How long it may take until nothing is under way any more.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
const AGAIN: Duration = Duration::from_millis(500);

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub wrong: Vec<String>,
    /// Rules of the audit that hold.
    pub rules: usize,
    pub records: usize,
    /// Of those how many came again.
    pub again: usize,
    /// Dead letters that faults made, and that were dropped.
    pub dropped: usize,
}

/// Looks at everything. `poisoned` has the keys of records that faults sent and nobody can read. What can't be looked at is wrong.
pub(super) async fn look(api: &Api, at: &Addresses, entries: &[Entry], poisoned: &BTreeSet<String>) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.wrong.extend(entries.iter().filter_map(|entry| entry.wrong.clone()));
    let letters = drop_letters(api, poisoned, &mut verdict).await;
    let audited = audited(at, poisoned).await.map(|rules| verdict.rules = rules);
    let money = money(api, entries).await.map(|wrong| verdict.wrong.extend(wrong));
    let goods = goods(api, entries).await.map(|wrong| verdict.wrong.extend(wrong));
    let topics = topics(at, entries, poisoned, &mut verdict).await;
    for (what, looked) in
        [("dead letters", letters), ("audit", audited), ("money", money), ("goods", goods), ("topics", topics)]
    {
        verdict.wrong.extend(looked.err().map(|error| format!("{what}: {error:#}")));
    }
    verdict
}

/// Drops the dead letters of poisoned keys; any other is wrong.
async fn drop_letters(api: &Api, poisoned: &BTreeSet<String>, verdict: &mut Verdict) -> anyhow::Result<()> {
    for service in Service::WITH_OUTBOX {
        for letter in api.all(service, "/api/v1/dead-letters?").await? {
            let (key, id) = (text(&letter, "key")?, number(&letter, "id")?);
            if !poisoned.contains(&key) {
                verdict.wrong.push(format!("{} has a dead letter that no fault made: {letter}", service.name()));
                continue;
            }
            let path = format!("/api/v1/dead-letters/{id}/discard");
            api.surely(Method::POST, service, &path, Some(&json!({"reason": "a fault sent it"}))).await?;
            verdict.dropped += 1;
        }
    }
    Ok(())
}

/// The audit's rules, of which those that name a poisoned key don't count. Steps may still be under way, so it is asked again.
async fn audited(at: &Addresses, poisoned: &BTreeSet<String>) -> anyhow::Result<usize> {
    points::until(|| async {
        let audit = points::audit::look(at).await?;
        let found = audit.rules.iter().flat_map(|rule| &rule.broken);
        let broken: Vec<_> =
            found.filter(|finding| !poisoned.iter().any(|key| finding.of.contains(key.as_str()))).take(20).collect();
        ensure!(broken.is_empty(), "not all that must hold does: {broken:?}");
        for rule in &audit.rules {
            let unseen = rule.unchecked.is_some() || rule.more > 0;
            ensure!(!unseen, "rule {} was not wholly checked: {:?}, {} more", rule.number, rule.unchecked, rule.more);
        }
        Ok(audit.rules.len())
    })
    .await
}

/// What each order's money must be, at payment-svc and at the gateway.
async fn money(api: &Api, entries: &[Entry]) -> anyhow::Result<Vec<String>> {
    let until = Instant::now() + QUIET_WITHIN;
    loop {
        let wrong = money_now(api, entries).await?;
        if wrong.is_empty() || Instant::now() >= until {
            return Ok(wrong);
        }
        sleep(AGAIN).await;
    }
}

async fn money_now(api: &Api, entries: &[Entry]) -> anyhow::Result<Vec<String>> {
    let journal = api.journal().await?;
    let mut payments = BTreeMap::new();
    for payment in api.all(Service::PaymentSvc, "/api/v1/payments?").await? {
        payments.insert(text(&payment, "order_id")?, payment);
    }
    let amount = |payment: &Value, of: &str| payment[of]["amount"].as_i64().unwrap_or_default();
    let mut wrong = Vec::new();
    for (id, entry) in known(entries) {
        let kept = entry.plan.kept(entry.quantity);
        let nothing = Journal::new();
        let lines = journal.get(id).unwrap_or(&nothing);
        let sum = |of: &str| lines.get(of).map_or(0, |(amount, _)| *amount);
        let at_gateway = [sum("capture"), sum("refund")];
        let held = sum("authorise") - sum("capture") - sum("void");
        let at_shop = payments.get(id).map(|payment| [amount(payment, "captured"), amount(payment, "refunded")]);
        let at_shop = at_shop.unwrap_or_default();
        let once = lines.values().all(|(_, count)| *count == 1);
        if at_gateway != at_shop || at_shop[0] - at_shop[1] != kept || held != 0 || !once {
            let plan = entry.plan;
            wrong.push(format!(
                "order {id} ({plan:?}): {kept} is to be kept; payment-svc has {at_shop:?}, the gateway {lines:?}"
            ));
        }
    }
    let accepted: HashSet<&str> = known(entries).map(|(id, _)| id).collect();
    let stray: Vec<_> = journal.keys().filter(|order| !accepted.contains(order.as_str())).collect();
    // Of an order that was given up on nobody knows whether it was taken.
    if stray.len() > entries.iter().filter(|entry| entry.id.is_none()).count() {
        wrong.push(format!("the gateway moved money for orders that were not accepted: {stray:?}"));
    }
    Ok(wrong)
}

async fn goods(api: &Api, entries: &[Entry]) -> anyhow::Result<Option<String>> {
    let gone: i64 = known(entries).map(|(_, entry)| i64::from(entry.plan.gone(entry.quantity))).sum();
    let expected = (i64::from(ON_HAND) - gone, 0);
    let until = Instant::now() + QUIET_WITHIN;
    loop {
        let product = api.product(SKU).await?;
        let found = (number(&product, "on_hand")?, number(&product, "held")?);
        if found == expected {
            return Ok(None);
        }
        if Instant::now() >= until {
            let [is, was] = [found, expected].map(|(on_hand, held)| format!("{on_hand} on hand and {held} held"));
            return Ok(Some(format!("goods: {is}, expected {was}")));
        }
        sleep(AGAIN).await;
    }
}

/// Every accepted order was announced once, nothing was announced that nobody ordered, and each key's events are in order.
async fn topics(
    at: &Addresses,
    entries: &[Entry],
    poisoned: &BTreeSet<String>,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let mut records = events::all(&at.kafka, &OF_ORDERS).await?;
    records.retain(|record| !poisoned.contains(&record.key));
    verdict.records = records.len();
    match events::must_be_contiguous(&records) {
        Ok(again) => verdict.again = again,
        Err(error) => verdict.wrong.push(format!("topics: {error:#}")),
    }
    let of_placed = records.iter().filter(|record| record.event_type == "order.placed.v1");
    let placed: HashSet<&str> = of_placed.map(|record| record.key.as_str()).collect();
    let accepted: HashSet<&str> = known(entries).map(|(id, _)| id).collect();
    let lost = accepted.difference(&placed).map(|id| format!("order {id} was accepted and never announced"));
    verdict.wrong.extend(lost);
    // Of an order that was given up on nobody knows whether it was taken.
    let given_up = entries.iter().filter(|entry| entry.id.is_none()).count();
    let made_up: Vec<_> = placed.difference(&accepted).collect();
    if made_up.len() > given_up {
        verdict.wrong.push(format!("announced and accepted by nobody: {made_up:?}"));
    }
    Ok(())
}

fn known(entries: &[Entry]) -> impl Iterator<Item = (&str, &Entry)> {
    entries.iter().filter_map(|entry| Some((entry.id.as_deref()?, entry)))
}

/// What an order went through, for whoever has to find out why it is wrong.
pub(super) async fn told(at: &Addresses, order: &str) -> anyhow::Result<String> {
    let records = events::all(&at.kafka, &OF_ORDERS).await.context("the order's events")?;
    let mut of_order: Vec<_> = records.into_iter().filter(|record| record.key == order).collect();
    of_order.sort_by_key(|record| record.sent_at);
    let line = |record: &quadrille::records::Record| {
        let at = record.sent_at.map(|at| at.format("%H:%M:%S%.3f").to_string()).unwrap_or_default();
        format!(
            "  {at} {}[{}]@{} {} {}",
            record.topic, record.partition, record.offset, record.sequence, record.event_type
        )
    };
    Ok(of_order.iter().map(line).collect::<Vec<_>>().join("\n"))
}
