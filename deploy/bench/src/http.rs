//! A client for a service on loopback that takes as little of the processors as it can: both ends share them.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Services end connections on which nothing comes for a while; one that has rested this long is opened anew before that.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// One kept-alive connection.
pub struct Connection {
    port: u16,
    stream: BufReader<TcpStream>,
    used: Instant,
    line: String,
}

impl Connection {
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).await.with_context(|| format!("connecting to port {port}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { port, stream: BufReader::new(stream), used: Instant::now(), line: String::new() })
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.ask("GET", path, "").await
    }

    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.ask("POST", path, body).await
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        if self.used.elapsed() > LONGEST_REST {
            *self = Self::open(self.port).await?;
        }
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let status = self.header().await?.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("{method} {path} was answered {:?}", self.line))?;
        let mut length = 0;
        loop {
            let header = self.header().await?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').context("a header without a colon")?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("content-length")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("{method} {path} is answered in chunks, which is not read here");
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        self.used = Instant::now();
        Ok((status, answer))
    }

    async fn header(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        anyhow::ensure!(self.stream.read_line(&mut self.line).await? > 0, "the connection was closed");
        Ok(self.line.trim_end())
    }
}
