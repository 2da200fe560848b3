//! One connection to PostgreSQL: opened, limited, watched.

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
/// How long a start waits for PostgreSQL before it gives up.
const START: Duration = Duration::from_secs(120);
/// PostgreSQL ends a statement after 30 s, so one that is without an answer for longer has nobody who works at it.
pub(super) const SILENCE: Duration = Duration::from_secs(35);
/// A statement or an idle transaction that takes longer is ended by PostgreSQL, so that its locks don't stay. What it
/// doesn't know yet (before version 14) is left out: to notice that the client of a waiting statement is gone.
const LIMITS: &str = "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '30s'; \
    set lock_timeout = '10s'; \
    select set_config(name, '5s', false) from pg_settings where name = 'client_connection_check_interval'";

/// A connection with what its bytes tell of it.
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

/// How a connection is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To write: a server that takes no writes is no server.
    Write,
    /// To read, from a standby too.
    Read,
    /// To write in statements that may take their time.
    Long,
}

/// One connection of its own that can write, with the same limits as the pool's.
///
/// # Errors
/// The URL is refused, or no host of it takes writes and answers within five seconds.
pub async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    session(url, Purpose::Write, SILENCE).await.map(|session| session.conn)
}

/// One connection to read from, which a standby may serve.
///
/// # Errors
/// The URL is refused, or no host of it answers within five seconds.
pub async fn connect_to_read(url: &str) -> ConnectionResult<AsyncPgConnection> {
    session(url, Purpose::Read, SILENCE).await.map(|session| session.conn)
}

/// One connection that can write, for statements that may take longer than any limit of the client: those that are
/// without an answer are given up only if the server doesn't answer on another connection either.
///
/// # Errors
/// The URL is refused, or no host of it takes writes and answers within five seconds.
pub async fn connect_for_long(url: &str) -> ConnectionResult<AsyncPgConnection> {
    connect_for_long_within(url, SILENCE).await
}

/// The same, with the server asked after another time.
///
/// # Errors
/// As [`connect_for_long`].
pub async fn connect_for_long_within(url: &str, silence: Duration) -> ConnectionResult<AsyncPgConnection> {
    session(url, Purpose::Long, silence).await.map(|session| session.conn)
}

/// Tries each host of the URL in its order.
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
            tokio::spawn(connection); // ends with its client, which says what became of it
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

/// What the driver looks at where it opens the socket itself.
async fn must_take_writes(conn: &mut AsyncPgConnection) -> ConnectionResult<()> {
    let asked = diesel::select(diesel::dsl::sql::<Text>("current_setting('transaction_read_only')"));
    let read_only: String = asked.get_result(conn).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    match read_only.as_str() {
        "off" => Ok(()),
        _ => Err(ConnectionError::BadConnection("the database does not allow writes".to_owned())),
    }
}

/// Asks on a connection of its own whether this host answers: another says nothing of it.
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

/// Connects to write, and waits with backoff for a PostgreSQL that is not there yet, for two minutes at most.
///
/// # Errors
/// The last refusal, once the time is over; at once for what waiting doesn't mend.
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
