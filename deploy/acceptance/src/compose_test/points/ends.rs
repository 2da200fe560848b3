//! One order of each kind comes to its end, and its mails are sent, but those that are no longer true by then.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use quadrille::api::text;
use reqwest::Client;
use serde_json::Value;

use super::{
    super::{book::Entry, book::Plan, load::Load, shell::a_moment, stack::Stack},
    SETTLES,
};

const MAILPIT: &str = "http://127.0.0.1:8025";
const MAILS_WITHIN: Duration = Duration::from_secs(60);

pub(in crate::compose_test) async fn try_out(stack: &Stack, load: &Load) -> anyhow::Result<String> {
    load.one_of_each();
    load.book.settled(SETTLES).await?;
    let mailpit = mailpit_is_there(stack).await?;
    let mut mails = 0;
    for entry in load.book.all() {
        mails += mails_of(stack, &entry, mailpit).await?;
    }
    let place = if mailpit { "all of them in Mailpit" } else { "as notification-svc says, since Mailpit isn't here" };
    Ok(format!("{}; {mails} mails sent, {place}", load.book.figures()))
}

/// The order that went all the way, for the README's commands that look at one.
pub(in crate::compose_test) fn completed(load: &Load) -> Option<String> {
    load.book.all().into_iter().find(|entry| entry.plan == Plan::Complete && entry.ended.is_some())?.id
}

async fn mailpit_is_there(stack: &Stack) -> anyhow::Result<bool> {
    Ok(!stack.instances("mailpit").await?.is_empty())
}

/// How many messages there are at least, sent or no longer true. A customer who cancels gets more or fewer, depending
/// on how far the order was.
const fn expected(plan: Plan) -> usize {
    match plan {
        Plan::Complete => 4,
        Plan::Confirm | Plan::Decline | Plan::Short | Plan::Cancel => 2,
    }
}

async fn mails_of(stack: &Stack, entry: &Entry, mailpit: bool) -> anyhow::Result<usize> {
    let order = entry.id.as_deref().context("an order that was not accepted")?;
    let until = Instant::now() + MAILS_WITHIN;
    loop {
        let told = stack.api.notifications(order).await?;
        let sent: Vec<_> = told.iter().filter(|mail| mail["status"] == "sent").collect();
        let suppressed = told.iter().filter(|mail| mail["status"] == "suppressed").count();
        let over = !sent.is_empty() && sent.len() + suppressed == told.len() && told.len() >= expected(entry.plan);
        let arrived = if mailpit && over { in_mailpit(&sent).await? } else { sent.len() };
        if over && arrived == sent.len() {
            return Ok(arrived);
        }
        if Instant::now() >= until {
            let (told, sent) = (told.len(), sent.len());
            bail!("order {order}: {told} notifications, {sent} sent, {suppressed} suppressed, {arrived} arrived");
        }
        a_moment().await;
    }
}

/// How many of them Mailpit has: a mail's Message-ID is the notification's id.
async fn in_mailpit(sent: &[&Value]) -> anyhow::Result<usize> {
    let url = format!("{MAILPIT}/api/v1/messages?limit=500");
    let page: Value = Client::new().get(&url).send().await?.error_for_status()?.json().await?;
    let there = page["messages"].as_array().with_context(|| format!("no messages in the answer of {url}"))?;
    let mut found = 0;
    for mail in sent {
        let id = text(mail, "id")?;
        let is_it = |message: &&Value| message["MessageID"].as_str().is_some_and(|message| message.contains(&id));
        found += there.iter().filter(is_it).count();
    }
    Ok(found)
}
