//! Sending what was published again, from the archive: for a topic that was lost, or consumers that lost something.
//!
//! It needs the database's relay to be stopped, and keeps it from leading meanwhile: otherwise the relay's newer rows of a
//! key would get in between the older ones. What is pending stays pending. As the relay publishes a key's rows in id
//! order, all that is in the archive lies below what is pending of the same key; so the order of a key holds if the
//! relay publishes only after the window was sent.

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

/// Which part of a topic is sent again: by the times at which it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Of this topic.
    pub topic: String,
    /// From this time on; none: from where the archive is whole.
    pub from: Option<DateTime<Utc>>,
    /// Before this time; none: to the end.
    pub to: Option<DateTime<Utc>>,
    /// Only rows with a greater id: to continue.
    pub after: i64,
    /// Also where the archive has not all that was published.
    pub incomplete: bool,
    /// Also what is older than the inboxes of `service-kit`'s consumers reach.
    pub older: bool,
}

impl Window {
    /// All of a topic.
    pub fn whole(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), from: None, to: None, after: 0, incomplete: false, older: false }
    }
}

/// It was told to stop before it was through.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {sent} rows; all up to id {after} are sent")]
pub struct Stopped {
    /// Rows that are with the broker.
    pub sent: u64,
    /// Where [`Window::after`] continues.
    pub after: i64,
}

/// Somebody relays meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("a relay of {database} leads ({who}): stop it first, or it would publish newer rows in between")]
pub struct Led {
    /// Whose outbox.
    pub database: String,
    /// Who leads.
    pub who: String,
}

/// Sends the window again, in id order, as it was sent the first time. Says how many rows that were.
///
/// # Errors
/// [`Led`] when another leads; the topic is compacted or isn't there; the archive doesn't reach back so far; a row is refused; the
/// database fails. [`Stopped`] when it was told to.
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
    // Whatever is still with the publisher is given up before a relay may lead.
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

/// A compacted topic tells the present of each key. An old row sent again would become a key's newest word.
async fn refuse_compacted(publisher: &KafkaPublisher, topic: &str) -> anyhow::Result<()> {
    let policy = publisher.broker_metadata()?.cleanup_policy(topic).await?;
    if policy.split(',').any(|part| part.trim() == "compact") {
        bail!(
            "{topic} is compacted: what it said last of a key must stay its newest word. Let the service that owns it \
             announce everything anew, with the next sequences (`stock-svc reannounce` for products.v1)"
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

/// What is older than consumers' inboxes reach they can't tell from news, and bury, and with it all that comes later of the
/// same key.
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

/// For how long consumers remember what was published to the topic, as the brokers and this archive tell: consumers look at
/// the same topic, and at an archive that is kept for as long, which is said to all services alike.
///
/// # Errors
/// The brokers or the database don't answer.
pub async fn remembered(config: &RelayConfig, topic: &str) -> anyhow::Result<Duration> {
    let kept = reach::kept_by_topics(&config.brokers, &[topic.to_owned()]).await?.longest;
    let archived: Option<f64> = sql::ArchiveKept {}.get_result(&mut working_connection(config).await?).await?;
    Ok(reach::sure_reach(kept, archived.map(Duration::from_secs_f64)))
}

/// Counting a large archive takes its time.
async fn patient_connection(config: &RelayConfig) -> anyhow::Result<AsyncPgConnection> {
    let url = config.database_url.expose_secret();
    let mut conn = planned(pool::connect_for_long(url).await.context("the connection to the archive")?).await?;
    conn.batch_execute("set statement_timeout = '15min'").await.context("the connection to the archive")?;
    Ok(conn)
}

/// Whether the archive has anything of the window.
async fn has_rows(config: &RelayConfig, window: &Window) -> anyhow::Result<bool> {
    let mut conn = patient_connection(config).await?;
    Ok(!first_of(&mut conn, window).await?.is_empty())
}

async fn first_of(conn: &mut AsyncPgConnection, window: &Window) -> anyhow::Result<Vec<sql::ReadRow>> {
    let Window { topic, from, to, after, .. } = window.clone();
    Ok(sql::ReadArchive { topic, from, to, after, rows: 1, bytes: 1 }.load(conn).await?)
}

/// What the archive has of a topic.
#[derive(Clone, Debug, diesel::Queryable)]
pub struct Span {
    /// The topic.
    pub topic: String,
    /// Rows in the window.
    pub rows: i64,
    /// How many keys they have.
    pub keys: i64,
    /// The first id.
    pub first_id: i64,
    /// The last id.
    pub last_id: i64,
    /// When the first of them was published.
    pub first_at: DateTime<Utc>,
    /// When the last of them was.
    pub last_at: DateTime<Utc>,
}

/// What is in the window, and why it would be refused, if it would. Writes nothing and sends nothing; a relay may lead.
///
/// # Errors
/// The database fails.
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

/// What there is to be sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// The topics of which the archive has rows.
    pub topics: Vec<String>,
    /// Whether rows were published of which nothing was kept, by a relay without an archive.
    pub lacks_some: bool,
}

/// What the archive has. Nothing, in a database that no relay has worked in yet.
///
/// # Errors
/// The database fails.
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
