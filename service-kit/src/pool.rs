//! The pool of database connections.

use std::time::Duration;

use anyhow::{Context, bail};
use deadpool::Runtime;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::config::DatabaseConfig;
use crate::retry::Backoff;

/// Connections to the service's own database.
pub type Pool = diesel_async::pooled_connection::deadpool::Pool<AsyncPgConnection>;

/// How long a request waits for a free connection before it is told 503.
const CHECKOUT: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a start waits for PostgreSQL before it gives up.
const START: Duration = Duration::from_secs(120);
/// A statement or an idle transaction that takes longer is ended by PostgreSQL, so that its locks don't stay.
const LIMITS: &str =
    "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '30s'; set lock_timeout = '10s'";

/// Opens the pool. Must be called on the main runtime: each connection's driver is spawned there, not on an actix
/// worker's single thread, where one busy handler would stall every connection opened from it.
///
/// # Errors
/// PostgreSQL could not be reached within two minutes.
pub async fn open(config: &DatabaseConfig) -> anyhow::Result<Pool> {
    let main = Handle::current();
    let mut manager = ManagerConfig::default();
    manager.recycling_method = RecyclingMethod::Fast;
    manager.custom_setup = Box::new(move |url| {
        let url = url.to_owned();
        let opened = main.spawn(async move { connect(&url).await });
        async move { opened.await.unwrap_or_else(|stopped| Err(ConnectionError::BadConnection(stopped.to_string()))) }
            .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(config.url.expose_secret(), manager);
    let pool = Pool::builder(manager)
        .max_size(config.pool_size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CHECKOUT))
        .create_timeout(Some(CONNECT))
        .recycle_timeout(Some(CONNECT))
        .build()
        .context("the pool could not be built")?;
    let mut first = connect_patiently(config.url.expose_secret()).await?;
    refuse_other_languages(&mut first).await?;
    Ok(pool)
}

/// diesel keeps no SQLSTATE beyond its own kinds, so [`may_pass`] reads PostgreSQL's words, which must be English.
async fn refuse_other_languages(conn: &mut AsyncPgConnection) -> anyhow::Result<()> {
    let shown: Language =
        diesel::sql_query("select current_setting('lc_messages') as language").get_result(conn).await?;
    let language = shown.language;
    let english = ["C", "POSIX", "en"].iter().any(|known| language.starts_with(known)) || language.is_empty();
    anyhow::ensure!(
        english,
        "PostgreSQL writes its messages in {language:?}, from which a failure that passes can't be told from one that \
         doesn't: run `alter database ... set lc_messages = 'C'` as a superuser"
    );
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Language {
    #[diesel(sql_type = diesel::sql_types::Text)]
    language: String,
}

/// One connection of its own, with the same limits as the pool's.
///
/// # Errors
/// PostgreSQL refuses or does not answer within five seconds.
pub async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let late = |_| ConnectionError::BadConnection(format!("no answer within {} s", CONNECT.as_secs()));
    timeout(CONNECT, establish(url)).await.map_err(late)?
}

async fn establish(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let mut conn = AsyncPgConnection::establish(&noticing_silence(url)).await?;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut conn, LIMITS)
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// The same URL, with a peer that says nothing any more given up within half a minute: `statement_timeout` is the
/// server's, and a server that is cut off ends nothing here.
fn noticing_silence(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return url.to_owned() };
    let seconds = [
        ("tcp_user_timeout", "15"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_retries", "3"),
    ];
    for (name, value) in seconds {
        if !url.query_pairs().any(|(given, _)| given == name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url.into()
}

/// Connects, and waits with backoff for a PostgreSQL that is not there yet, for two minutes at most.
///
/// # Errors
/// The last refusal, once the time is over; at once for a wrong password or a database that isn't there.
pub async fn connect_patiently(url: &str) -> anyhow::Result<AsyncPgConnection> {
    let give_up = Instant::now() + START;
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        let error = match connect(url).await {
            Ok(conn) => return Ok(conn),
            Err(error) => error,
        };
        if let Some(mend) = mend(&error) {
            bail!("DATABASE_URL: PostgreSQL at {} refuses {}: {error}; {mend}", place(url), role(url));
        }
        if Instant::now() >= give_up {
            return Err(error).with_context(|| {
                format!("DATABASE_URL: PostgreSQL at {} does not answer; look at host and port", place(url))
            });
        }
        let wait = backoff.next_wait();
        tracing::warn!(
            database = place(url),
            error = %error,
            next_attempt_seconds = wait.as_secs_f64(),
            gives_up_seconds = give_up.saturating_duration_since(Instant::now()).as_secs(),
            "waiting for PostgreSQL"
        );
        sleep(wait).await;
    }
}

/// How to mend a refusal that waiting does not mend.
pub fn mend(error: &ConnectionError) -> Option<&'static str> {
    let refusals: [(&[&str], _); 6] = [
        (&["password authentication failed"], "correct user and password, or set the role's password"),
        (&["role \"", "does not exist"], "correct the user, or create the role"),
        (&["database \"", "does not exist"], "correct the name, or create the database"),
        (&["no pg_hba.conf entry"], "pg_hba.conf must let the role in from here"),
        (&["permission denied"], "grant the role connect on the database"),
        (&["not permitted to log in"], "alter the role with login"),
    ];
    let said = error.to_string();
    let refusal = refusals.into_iter().find(|(words, _)| words.iter().all(|word| said.contains(word)));
    refusal.map(|(_, mend)| mend)
}

fn role(url: &str) -> String {
    let role = url::Url::parse(url).map(|url| url.username().to_owned()).unwrap_or_default();
    if role.is_empty() { "the role that it doesn't name".to_owned() } else { format!("the role {role}") }
}

/// Host, port and database of a URL, without user and password.
pub fn place(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| "an unreadable URL".to_owned(),
        |url| format!("{}:{}{}", url.host_str().unwrap_or("localhost"), url.port().unwrap_or(5432), url.path()),
    )
}

/// Whether the database answers now, for readiness.
pub async fn answers(pool: &Pool) -> bool {
    let ask = async {
        let mut conn = pool.get().await.ok()?;
        diesel::sql_query("select 1").execute(&mut conn).await.ok()
    };
    matches!(timeout(Duration::from_secs(2), ask).await, Ok(Some(_)))
}

/// What PostgreSQL says when waiting helps. diesel keeps no SQLSTATE beyond its own kinds, so these are told by their
/// words (as PostgreSQL says them in English): deadlock, lock and statement timeouts, an end of the session, a server
/// that starts, stops, or has no room.
const PASSING: &[&str] = &[
    "deadlock detected",
    "canceling statement due to",
    "terminating connection",
    "the database system is",
    "too many connections",
    "too many clients",
    "remaining connection slots",
    "could not",
    "out of memory",
    "out of shared memory",
    "no space left",
    "connection",
];

/// Whether the same work may succeed when it is tried again.
pub fn may_pass(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction => true,
            DatabaseErrorKind::Unknown => {
                let message = information.message().to_lowercase();
                PASSING.iter().any(|passing| message.contains(passing))
            }
            _ => false,
        },
        DieselError::BrokenTransactionManager => true,
        // the rollback failed too, which only a lost connection explains
        DieselError::RollbackErrorOnCommit { commit_error, .. } => may_pass(commit_error),
        _ => false,
    }
}
