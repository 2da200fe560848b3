//! Opens one connection to PostgreSQL, with limits on what the server and the client may take.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use diesel::sql_types::Text;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_rustls::rustls::ClientConfig;

use super::address::{self, Address, place, role};
use super::encrypted::Encryption;
use super::failures::{mend, other_way_may_help};
use super::observed::{Ask, Observer, Patience};
use super::tls::{Tls, Way};
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

/// How statements are planned that look rows up. A connection plans each once, maybe while its tables are nearly empty, and keeps
/// that plan while they grow: it must go by an index from the first row on. Compiling would take longer than such a statement
/// does, and planning it anew for each value nearly as long.
const PLANS: &str = "set enable_seqscan = off; set jit = off; set plan_cache_mode = force_generic_plan";

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
    /// To write, in statements that are sent again and again and look rows up, as those of a pool.
    Serve,
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
    let refused = |why: String| ConnectionError::InvalidConnectionUrl(format!("the URL is refused: {why}"));
    let Address { config, tls } = address::read(url).map_err(refused)?;
    let client = Arc::new(read_certificates(&tls).await.map_err(refused)?);
    let mut last = None;
    for host in address::each_host(&config) {
        match encrypted_or_not(host, &tls, &client, purpose, silence).await {
            Ok(session) => return Ok(session),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| ConnectionError::InvalidConnectionUrl("the URL names no host".to_owned()));
    Err(match mend(&error) {
        Some(mend) => {
            let told = format!("PostgreSQL at {} can't be used by {}: {error}; {mend}", place(url), role(url));
            ConnectionError::BadConnection(told)
        }
        None => error,
    })
}

/// Reads the files on a thread that may block.
async fn read_certificates(tls: &Tls) -> Result<ClientConfig, String> {
    let tls = tls.clone();
    spawn_blocking(move || tls.client()).await.map_err(|error| error.to_string()).flatten()
}

/// A host, and how it is spoken with.
#[derive(Clone)]
struct Target {
    host: Config,
    encryption: Encryption,
}

/// Tries one host, with TLS and without as the URL says. A socket of this machine has no TLS, as with libpq.
async fn encrypted_or_not(
    host: Config,
    tls: &Tls,
    client: &Arc<ClientConfig>,
    purpose: Purpose,
    silence: Duration,
) -> ConnectionResult<Session> {
    let (first, other) = if address::socket(&host).is_some() { (Way::Plain, None) } else { tls.ways() };
    let by = |way| {
        let encryption = Encryption { way, client: Arc::clone(client) };
        in_time(Target { host: host.clone(), encryption }, purpose, silence)
    };
    let error = match by(first).await {
        Ok(session) => return Ok(session),
        Err(error) => error,
    };
    let Some(other) = other.filter(|_| other_way_may_help(first, &error)) else { return Err(error) };
    let how = if other == Way::Plain { "without" } else { "with" };
    let both = |second: ConnectionError| ConnectionError::BadConnection(format!("{error}; {how} TLS: {second}"));
    by(other).await.map_err(both)
}

async fn in_time(target: Target, purpose: Purpose, silence: Duration) -> ConnectionResult<Session> {
    let late = |_| ConnectionError::BadConnection(format!("no answer within {} s", CONNECT.as_secs()));
    timeout(CONNECT, any_address(target, purpose, silence)).await.map_err(late).flatten()
}

/// Tries the addresses of a host in order. Of several failures, one that waiting doesn't end is told, whatever happened
/// at the addresses after it: often one of them isn't reachable from here at all.
async fn any_address(target: Target, purpose: Purpose, silence: Duration) -> ConnectionResult<Session> {
    let unknown =
        |error: std::io::Error| ConnectionError::BadConnection(format!("error connecting to server: {error}"));
    let mut failure = ConnectionError::BadConnection("its host has no address".to_owned());
    for host in address::each_address(target.host).await.map_err(unknown)? {
        let target = Target { host, encryption: target.encryption.clone() };
        match establish(target, purpose, silence).await {
            Ok(session) => return Ok(session),
            Err(error) if mend(&failure).is_none() => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

async fn establish(target: Target, purpose: Purpose, silence: Duration) -> ConnectionResult<Session> {
    let ask = (purpose == Purpose::Long).then(|| asking(&target));
    let Target { mut host, encryption } = target;
    if purpose != Purpose::Read {
        host.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    let wire = Arc::new(Wire::new());
    let patience = Patience { silence, ask };
    let observer = Observer { wire: Arc::clone(&wire), patience, encryption, host: String::new() };
    // The driver asks for no TLS by itself, and takes the observer's stream for it.
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
    let settings = if purpose == Purpose::Serve { format!("{LIMITS}; {PLANS}") } else { LIMITS.to_owned() };
    conn.batch_execute(&settings).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
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
fn asking(target: &Target) -> Ask {
    let mut target = target.clone();
    target.host.target_session_attrs(TargetSessionAttrs::Any);
    Arc::new(move || {
        let target = target.clone();
        Box::pin(async move {
            let asked = async {
                let mut conn = establish(target, Purpose::Read, SILENCE).await.ok()?;
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
        if mend(&error).is_some() {
            bail!("DATABASE_URL: {error}");
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
