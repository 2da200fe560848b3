//! Publishing archived rows again, for a topic or for consumers that lost events.
//!
//! The database's relay must be stopped, and can't lead meanwhile: its newer rows of a key would get between the older ones.
//! Pending rows stay pending. The relay publishes a key's rows in id order, so every archived row has a lower id than the
//! pending rows of its key. The order of a key therefore holds if the relay publishes only after the window was sent.

mod args;
pub(crate) mod command;
mod send;

use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use secrecy::ExposeSecret;
use service_kit::consumer::reach;
use service_kit::pool;
use service_kit::progress::Progress;
use tokio_util::sync::CancellationToken;

use crate::config::RelayConfig;
use crate::control::Control;
use crate::kafka::KafkaPublisher;
use crate::nudge::Nudge;
use crate::publisher::Publisher;
use crate::relay::{planned, working_connection};
use crate::sql;

/// The rows of a topic that are sent again, chosen by the time at which they were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The topic whose rows are sent.
    pub topic: String,
    /// The window begins at this time; when there is none, where the archive begins to be whole.
    pub from: Option<DateTime<Utc>>,
    /// The window ends before this time; when there is none, with the last row.
    pub to: Option<DateTime<Utc>>,
    /// Rows up to this id are left out, so that a sending that was stopped can continue.
    pub after: i64,
    /// Sends the window even if rows of it are missing from the archive.
    pub incomplete: bool,
    /// Sends rows even if they are older than the inboxes of `service-kit`'s consumers reach.
    pub older: bool,
}

impl Window {
    /// Every archived row of a topic.
    pub fn whole(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), from: None, to: None, after: 0, incomplete: false, older: false }
    }
}

/// The sending was stopped before its end.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {sent} rows; all up to id {after} are sent")]
pub struct Stopped {
    /// How many rows the broker has acknowledged.
    pub sent: u64,
    /// The value of [`Window::after`] with which the sending continues.
    pub after: i64,
}

/// A relay leads in this database, so nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("a relay of {database} leads ({who}): stop it first, or it would publish newer rows in between")]
pub struct Led {
    /// The database's name.
    pub database: String,
    /// The process that leads.
    pub who: String,
}

/// Sends the window's rows again, in id order, with the keys, headers and values of the first time. Returns their number.
///
/// # Errors
/// [`Led`] when a relay leads. [`Stopped`] when `stop` was cancelled. Others when the topic is compacted or doesn't exist, the
/// archive doesn't reach back to the window's beginning, the broker refuses a row, or the database can't be reached.
pub async fn send_again(config: &RelayConfig, window: &Window, stop: &CancellationToken) -> anyhow::Result<u64> {
    let mut publisher = KafkaPublisher::new(&config.brokers, config.in_flight.rows, config.in_flight.bytes);
    refuse_compacted(&publisher, &window.topic).await?;
    let mut control = Control::connect(config).await?;
    if let Some(why) = control.not_yet().await? {
        bail!(why);
    }
    if !control.try_lead().await? {
        let who = control.who_leads().await?.unwrap_or_else(|| "one that has just ended: try again".to_owned());
        return Err(Led { database: config.name.clone(), who }.into());
    }
    let leadership = control.lead(Nudge::default(), config.upkeep).await?;
    let sent = tokio::select! {
        biased;
        () = leadership.lost().cancelled() => Err(anyhow::anyhow!("the session that keeps relays from leading is gone")),
        sent = send(config, window, &mut publisher, stop) => sent,
    };
    // Rows that are still with the publisher are given up before a relay may lead.
    publisher.withdraw(Duration::ZERO, &mut Vec::new()).await;
    leadership.resign().await;
    sent
}

async fn send(
    config: &RelayConfig,
    window: &Window,
    publisher: &mut KafkaPublisher,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let mut conn = patient_connection(config).await?;
    let window = within_the_archive(&mut conn, window).await?;
    refuse_forgotten(config, &mut conn, &window).await?;
    let Window { topic, from, to, after, .. } = window.clone();
    let rows: i64 = sql::CountArchived { topic, from, to, after }.get_result(&mut conn).await?;
    let progress = Progress::new(format!("{} of {}", window.topic, config.name), rows.unsigned_abs());
    send::Sending::new(config, &window, conn, publisher, progress).all(stop).await
}

/// On a compacted topic the last record of a key is its present state, and an old row would become the last.
async fn refuse_compacted(publisher: &KafkaPublisher, topic: &str) -> anyhow::Result<()> {
    let policy = publisher.broker_metadata()?.cleanup_policy(topic).await?;
    if policy.split(',').any(|part| part.trim() == "compact") {
        bail!(
            "{topic} is compacted: what it said last of a key must stay its newest word. Let the service that owns it \
             announce everything anew, with the next sequences (`stock-svc reannounce` for products.v1, `order-svc reannounce` for customers.v1)"
        );
    }
    Ok(())
}

/// The window with its beginning, if the archive has all that was published in it.
async fn within_the_archive(conn: &mut AsyncPgConnection, window: &Window) -> anyhow::Result<Window> {
    if window.incomplete {
        return Ok(window.clone());
    }
    let whole_since: Option<DateTime<Utc>> = sql::WholeSince {}.get_result(conn).await?;
    let Some(since) = whole_since else {
        bail!(
            "nothing is archived now (the relay that led last had no OUTBOX_RELAY_ARCHIVE), so rows that were published \
             are missing in the archive: --incomplete sends what there is"
        );
    };
    match window.from {
        Some(from) if from < since => bail!(
            "the archive has all that was published since {since}, and --from is earlier: say --from {since}, or \
             --incomplete to send what there is of the time before",
            since = args::told(since)
        ),
        from => Ok(Window { from: from.or(Some(since)), ..window.clone() }),
    }
}

/// Consumers can't tell whether they have handled an event that is older than their inbox reaches. They make it a dead letter
/// and park its key.
async fn refuse_forgotten(config: &RelayConfig, conn: &mut AsyncPgConnection, window: &Window) -> anyhow::Result<()> {
    if window.older {
        return Ok(());
    }
    let sure = remembered(config, &window.topic).await?;
    let oldest = Utc::now() - sure;
    let to = Some(window.to.map_or(oldest, |to| to.min(oldest)));
    if first_of(conn, &Window { to, ..window.clone() }).await?.is_empty() {
        return Ok(());
    }
    bail!(
        "rows of {topic} published before {oldest} are in this window, and consumers made with service-kit remember {days} \
         days: they would make dead letters of what is older, and of all that follows it of the same key. Say --from {oldest}, \
         or --older if nobody who remembers so little hears the topic",
        topic = window.topic,
        oldest = args::told(oldest),
        days = sure.as_secs() / (24 * 60 * 60)
    )
}

/// How long consumers remember the topic's events. They compute it from the topic's retention and the archive's, which all
/// services are configured with alike.
///
/// # Errors
/// The brokers or the database don't answer.
pub async fn remembered(config: &RelayConfig, topic: &str) -> anyhow::Result<Duration> {
    let kept = reach::kept_by_topics(&config.brokers, &[topic.to_owned()]).await?.longest;
    let archived: Option<f64> = sql::ArchiveKept {}.get_result(&mut working_connection(config).await?).await?;
    Ok(reach::sure_reach(kept, archived.map(Duration::from_secs_f64)))
}

/// Counting the rows of a large archive takes longer than the session's usual limit.
async fn patient_connection(config: &RelayConfig) -> anyhow::Result<AsyncPgConnection> {
    let url = config.database_url.expose_secret();
    let mut conn = planned(pool::connect_for_long(url).await.context("the connection to the archive")?).await?;
    conn.batch_execute("set statement_timeout = '15min'").await.context("the connection to the archive")?;
    Ok(conn)
}

/// Whether the archive has a row of the window.
async fn has_rows(config: &RelayConfig, window: &Window) -> anyhow::Result<bool> {
    let mut conn = patient_connection(config).await?;
    Ok(!first_of(&mut conn, window).await?.is_empty())
}

async fn first_of(conn: &mut AsyncPgConnection, window: &Window) -> anyhow::Result<Vec<sql::ReadRow>> {
    let Window { topic, from, to, after, .. } = window.clone();
    Ok(sql::ReadArchive { topic, from, to, after, rows: 1, bytes: 1 }.load(conn).await?)
}

/// The rows that the archive has of a topic.
#[derive(Clone, Debug, diesel::Queryable)]
pub struct Span {
    /// The topic.
    pub topic: String,
    /// The number of rows.
    pub rows: i64,
    /// The number of different keys.
    pub keys: i64,
    /// The lowest id.
    pub first_id: i64,
    /// The highest id.
    pub last_id: i64,
    /// When the first row was published.
    pub first_at: DateTime<Utc>,
    /// When the last row was published.
    pub last_at: DateTime<Utc>,
}

/// The rows of the window, and the reason why [`send_again`] would refuse it, if it would. Writes and sends nothing; a relay
/// may lead meanwhile.
///
/// # Errors
/// The database or the brokers don't answer.
pub async fn look(config: &RelayConfig, window: &Window) -> anyhow::Result<(Vec<Span>, Option<String>)> {
    let mut conn = patient_connection(config).await?;
    let (window, refusal) = match within_the_archive(&mut conn, window).await {
        Ok(whole) => {
            let refusal = refuse_forgotten(config, &mut conn, &whole).await.err();
            (whole, refusal)
        }
        Err(refusal) => (window.clone(), Some(refusal)),
    };
    let refusal = refusal.map(|why| why.to_string());
    let Window { topic, from, to, after, .. } = window;
    let spans = sql::ArchiveSpans { topic: Some(topic), from, to, after }.load(&mut conn).await?;
    Ok((spans, refusal))
}

/// The topics that can be sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// The topics of which the archive has rows.
    pub topics: Vec<String>,
    /// Whether rows were published while nothing was archived.
    pub lacks_some: bool,
}

/// The topics of which the archive has rows: none in a database where no relay has led yet.
///
/// # Errors
/// The database doesn't answer.
pub async fn archived(config: &RelayConfig) -> anyhow::Result<Archived> {
    let mut conn = patient_connection(config).await?;
    if !(sql::OutboxIsHere {}.get_result::<bool>(&mut conn).await?) {
        return Ok(Archived::default());
    }
    let used: bool = sql::WasUsed {}.get_result(&mut conn).await?;
    if !(sql::ArchiveIsHere {}.get_result::<bool>(&mut conn).await?) {
        return Ok(Archived { topics: Vec::new(), lacks_some: used });
    }
    let whole_since: Option<DateTime<Utc>> = sql::WholeSince {}.get_result(&mut conn).await?;
    Ok(Archived { topics: sql::ArchivedTopics {}.load(&mut conn).await?, lacks_some: whole_since.is_none() && used })
}
