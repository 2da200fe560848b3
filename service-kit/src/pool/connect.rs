//! Opens one connection to PostgreSQL, with limits on what the server and the client may take.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use diesel::sql_types::Text;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};

use super::address::{self, place, role};
use super::failures::mend;
use super::observed::{Ask, Observer, Patience};
use super::wire::Wire;
use crate::retry::Backoff;

/// How long one attempt to connect to one host may take.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long a program that starts waits for PostgreSQL.
const START: Duration = Duration::from_secs(120);
/// How long a request may be without an answer. PostgreSQL ends a statement after 30 s, so after this time no server
/// is working on it.
pub(super) const SILENCE: Duration = Duration::from_secs(35);
/// PostgreSQL ends a statement or an idle transaction that takes longer, so that its locks don't stay.
/// `client_connection_check_interval`, which notices that the client of a waiting statement is gone, is set only
/// where PostgreSQL has it (from version 14).
/// What a transaction is by default isn't left to the database's settings: [`crate::idempotency`] needs `read committed`, and
/// [`crate::transaction`] takes `deferrable` for the mark of a transaction that has begun.
const LIMITS: &str = "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '30s'; \
    set lock_timeout = '10s'; \
    set default_transaction_isolation = 'read committed'; set default_transaction_deferrable = off; \
    select set_config(name, '5s', false) from pg_settings where name = 'client_connection_check_interval'";

/// A connection, and what its bytes say about its state.
pub(crate) struct Session {
    conn: AsyncPgConnection,
    pub wire: Arc<Wire>,
}

impl Deref for Session {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.conn
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.conn
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To write. A server that takes no writes is skipped.
    Write,
    /// To read; a standby will do.
    Read,
    /// To write, in statements that may take long.
    Long,
}

/// Opens a connection that can write, outside the pool but with the pool's limits.
///
/// # Errors
/// Fails if the URL is refused, or if no host of it takes writes and answers within five seconds.
pub async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    session(url, Purpose::Write, SILENCE).await.map(|session| session.conn)
}

/// Opens a connection to read from, which a standby may serve.
///
/// # Errors
/// Fails if the URL is refused, or if no host of it answers within five seconds.
pub async fn connect_to_read(url: &str) -> ConnectionResult<AsyncPgConnection> {
    session(url, Purpose::Read, SILENCE).await.map(|session| session.conn)
}

/// Opens a connection that can write, for statements that may take longer than any limit of the client. When a
/// statement has no answer for long, the client asks the server on another connection, and gives up only if that gets
/// no answer either.
///
/// # Errors
/// Fails if the URL is refused, or if no host of it takes writes and answers within five seconds.
pub async fn connect_for_long(url: &str) -> ConnectionResult<AsyncPgConnection> {
    connect_for_long_within(url, SILENCE).await
}

/// Like [`connect_for_long`], but asks the server after `silence`.
///
/// # Errors
/// Fails as [`connect_for_long`] does.
pub async fn connect_for_long_within(url: &str, silence: Duration) -> ConnectionResult<AsyncPgConnection> {
    session(url, Purpose::Long, silence).await.map(|session| session.conn)
}

/// Tries the hosts of the URL in order.
pub(super) async fn session(url: &str, purpose: Purpose, silence: Duration) -> ConnectionResult<Session> {
    let config = address::read(url)
        .map_err(|why| ConnectionError::InvalidConnectionUrl(format!("the URL is refused: {why}")))?;
    let mut last = None;
    for host in address::each_host(&config) {
        let late = |_| ConnectionError::BadConnection(format!("no answer within {} s", CONNECT.as_secs()));
        match timeout(CONNECT, establish(host, purpose, silence)).await.map_err(late).flatten() {
            Ok(session) => return Ok(session),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| ConnectionError::InvalidConnectionUrl("the URL names no host".to_owned())))
}

async fn establish(mut host: Config, purpose: Purpose, silence: Duration) -> ConnectionResult<Session> {
    if purpose != Purpose::Read {
        host.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    let wire = Arc::new(Wire::new());
    let ask = (purpose == Purpose::Long).then(|| asking(&host));
    let observer = Observer { wire: Arc::clone(&wire), patience: Patience { silence, ask } };
    host.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(address::told(&error));
    let mut conn = match address::socket(&host) {
        Some(socket) => {
            let unreached =
                |error: std::io::Error| ConnectionError::BadConnection(format!("{}: {error}", socket.display()));
            let stream = UnixStream::connect(&socket).await.map_err(unreached)?;
            let (client, connection) = host.connect_raw(stream, observer).await.map_err(bad)?;
            tokio::spawn(connection); // it ends when the client is dropped, and the client reports its errors
            AsyncPgConnection::try_from(client).await?
        }
        None => {
            let (client, connection) = host.connect(observer).await.map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await?
        }
    };
    conn.batch_execute(LIMITS).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    if address::socket(&host).is_some() && host.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
        must_take_writes(&mut conn).await?;
    }
    Ok(Session { conn, wire })
}

/// Checks that the server takes writes. The driver does this only where it opens the socket itself.
async fn must_take_writes(conn: &mut AsyncPgConnection) -> ConnectionResult<()> {
    let asked = diesel::select(diesel::dsl::sql::<Text>("current_setting('transaction_read_only')"));
    let read_only: String = asked.get_result(conn).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    match read_only.as_str() {
        "off" => Ok(()),
        _ => Err(ConnectionError::BadConnection("the database does not allow writes".to_owned())),
    }
}

/// Makes a probe that asks, on a new connection, whether this very host still answers.
fn asking(host: &Config) -> Ask {
    let mut host = host.clone();
    host.target_session_attrs(TargetSessionAttrs::Any);
    Arc::new(move || {
        let host = host.clone();
        Box::pin(async move {
            let asked = async {
                let mut conn = establish(host, Purpose::Read, SILENCE).await.ok()?;
                diesel::sql_query("select 1").execute(&mut *conn).await.ok()
            };
            matches!(timeout(CONNECT * 2, asked).await, Ok(Some(_)))
        })
    })
}

/// Opens a connection to write. It waits up to two minutes, with backoff, for a PostgreSQL that doesn't answer yet.
///
/// # Errors
/// Fails at once if waiting can't help, such as for a wrong password, and otherwise with the last error when the time
/// is over.
pub async fn connect_patiently(url: &str) -> anyhow::Result<AsyncPgConnection> {
    let give_up = Instant::now() + START;
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        let error = match connect_for_long(url).await {
            Ok(conn) => return Ok(conn),
            Err(error) => error,
        };
        if let ConnectionError::InvalidConnectionUrl(why) = &error {
            bail!("DATABASE_URL: {why}");
        }
        if let Some(mend) = mend(&error) {
            bail!("DATABASE_URL: PostgreSQL at {} refuses {}: {error}; {mend}", place(url), role(url));
        }
        if Instant::now() >= give_up {
            return Err(error).with_context(|| {
                format!("DATABASE_URL: PostgreSQL at {} can't be used; look at host and port", place(url))
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
