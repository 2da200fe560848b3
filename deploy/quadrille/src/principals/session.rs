//! A connection to a broker, as an administrator.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use service_kit::kafka::Brokers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::acl::Acl;
use super::wire::{Answer, CREATE_ACLS, DELETE_ACLS, DESCRIBE_ACLS, Request, SASL_AUTHENTICATE, SASL_HANDSHAKE};

const ANSWER: Duration = Duration::from_secs(15);
/// More than the ACLs of any cluster.
const LARGEST: usize = 64 << 20;

pub(super) struct Session {
    stream: TcpStream,
    asked: i32,
}

impl Session {
    /// Connects to the first broker that is there, and logs in. Fails if none is, if it wants another way than SASL/PLAIN or
    /// none, or if it refuses the password.
    pub async fn open(brokers: &Brokers) -> anyhow::Result<Self> {
        let client = brokers.client();
        let setting = |name| client.get(name).unwrap_or_default();
        let (protocol, mechanism) = (setting("security.protocol"), setting("sasl.mechanism"));
        let named = match (protocol, mechanism) {
            ("" | "plaintext", _) => false,
            ("sasl_plaintext", "PLAIN") => true,
            _ => bail!(
                "rights are changed over KAFKA_SECURITY_PROTOCOL=plaintext, or sasl_plaintext with \
                 KAFKA_SASL_MECHANISM=PLAIN, and not over {protocol} {mechanism}: `quadrille principals` prints the \
                 commands of Kafka's own tool, which knows every way"
            ),
        };
        let mut session = Self { stream: connect(&brokers.bootstrap).await?, asked: 0 };
        if named {
            session.log_in(setting("sasl.username"), setting("sasl.password")).await?;
        }
        Ok(session)
    }

    async fn log_in(&mut self, user: &str, password: &str) -> anyhow::Result<()> {
        self.ask(SASL_HANDSHAKE, |request| request.text("PLAIN"), |answer| answer.handshake()).await?;
        let token = format!("\0{user}\0{password}");
        self.ask(SASL_AUTHENTICATE, |request| request.bytes(token.as_bytes()), |answer| answer.success()).await
    }

    /// All ACLs of the cluster, as far as this broker knows them.
    pub async fn acls(&mut self) -> anyhow::Result<BTreeSet<Acl>> {
        let read = |answer: &mut Answer<'_>| {
            answer.throttle()?;
            answer.success()?;
            answer.list(Answer::acls)
        };
        Ok(self.ask(DESCRIBE_ACLS, Request::any_acl, read).await?.into_iter().flatten().collect())
    }

    pub async fn create(&mut self, acls: &[&Acl]) -> anyhow::Result<()> {
        self.change(CREATE_ACLS, acls, |answer| answer.success()).await
    }

    pub async fn delete(&mut self, acls: &[&Acl]) -> anyhow::Result<()> {
        let deleted = |answer: &mut Answer<'_>| {
            answer.success()?;
            // The ACLs that passed the filter, each with an outcome of its own.
            let outcome = |answer: &mut Answer<'_>| answer.success().and_then(|()| answer.skip_acl());
            answer.list(outcome).map(drop)
        };
        self.change(DELETE_ACLS, acls, deleted).await
    }

    async fn change(
        &mut self,
        api: (i16, i16),
        acls: &[&Acl],
        outcome: impl Fn(&mut Answer<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if acls.is_empty() {
            return Ok(());
        }
        let read = |answer: &mut Answer<'_>| {
            answer.throttle()?;
            answer.list(outcome).map(drop)
        };
        self.ask(api, |request| request.acls(acls), read).await
    }

    async fn ask<T>(
        &mut self,
        api: (i16, i16),
        body: impl FnOnce(Request) -> Request,
        read: impl FnOnce(&mut Answer<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.asked += 1;
        let request = body(Request::new(api, self.asked)).into_bytes();
        let answered = timeout(ANSWER, self.exchange(&request)).await;
        let bytes = answered.context("the broker does not answer in time")?.context("the connection to the broker")?;
        read(&mut Answer::to(self.asked, &bytes)?)
    }

    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        let length = u32::try_from(request.len())?.to_be_bytes();
        self.stream.write_all(&[&length, request].concat()).await?;
        let length = usize::try_from(self.stream.read_u32().await?)?;
        ensure!(length <= LARGEST, "an answer of {length} bytes is none: is this a Kafka without TLS?");
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

async fn connect(bootstrap: &str) -> anyhow::Result<TcpStream> {
    let mut last = None;
    for address in bootstrap.split(',').map(str::trim) {
        match timeout(ANSWER, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(anyhow::Error::new(error).context(format!("connecting to {address}"))),
            Err(_) => last = Some(anyhow::anyhow!("{address} does not answer")),
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no broker is named")))
}
