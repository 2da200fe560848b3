//! A server with TLS, to test clients against.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use super::Postgres;

/// PostgreSQL's `SSLRequest`, which a server with TLS answers with `S`.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const RELOADED_WITHIN: Duration = Duration::from_secs(10);

impl Postgres {
    /// Turns TLS on, with this certificate and its key in PEM, and lets in whom these lines of `pg_hba.conf` let in.
    /// Connections that are open stay. The server must not have been secured before.
    pub async fn secure(&self, certificate: &str, key: &str, lets_in: &str) -> anyhow::Result<()> {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await?;
        let driver = tokio::spawn(connection);
        for (file, text) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", lets_in)] {
            write(&client, file, text).await.with_context(|| format!("writing {file}"))?;
        }
        client.batch_execute("alter system set ssl = on").await?;
        client.batch_execute("select pg_reload_conf()").await?;
        drop(client);
        driver.await?.ok();
        let until = Instant::now() + RELOADED_WITHIN;
        while !self.has_tls().await? {
            if Instant::now() >= until {
                bail!("PostgreSQL has no TLS after {RELOADED_WITHIN:?}{}", self.process.last_words());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn has_tls(&self) -> anyhow::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(&SSL_REQUEST).await?;
        Ok(stream.read_u8().await? == b'S')
    }
}

/// The server writes the file itself: its user may be another one, and must own the key.
async fn write(client: &Client, file: &str, text: &str) -> anyhow::Result<()> {
    let text = text.replace('\'', "''");
    let lines = format!(
        "select line from unnest(string_to_array('{text}', e'\\n')) with ordinality as lines (line, number) order by number"
    );
    let copy = format!("copy ({lines}) to program 'rm -f {file} && umask 077 && cat > {file}'");
    Ok(client.batch_execute(&copy).await?)
}
