//! What types a client gives the parameters of its statements. The server's log does not tell, and for some statements the server
//! could not find out by itself; so a proxy between the two reads the client's Parse messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Answered without a message of its own kind, so that another start follows.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// The types' numbers by statement, where they were given.
type Types = Arc<Mutex<HashMap<String, Vec<u32>>>>;

/// Listens on loopback until it is dropped.
pub struct Proxy {
    pub port: u16,
    types: Types,
    listening: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Hands on to this port of loopback.
    pub async fn start(to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (port, types) = (listener.local_addr()?.port(), Types::default());
        let found = Arc::clone(&types);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(hand_on(client, to, Arc::clone(&found)));
            }
        });
        Ok(Self { port, types, listening })
    }

    /// Those of a statement, if it was seen.
    pub fn of(&self, sql: &str) -> Option<Vec<u32>> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn hand_on(client: TcpStream, to: u16, types: Types) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    messages(&mut from_client, &mut to_server, &types).await
}

async fn messages(client: &mut OwnedReadHalf, server: &mut OwnedWriteHalf, types: &Types) -> std::io::Result<()> {
    let mut started = false;
    loop {
        let kind = if started { client.read_u8().await? } else { 0 };
        let length = client.read_u32().await?;
        let mut content = vec![0; (length as usize).saturating_sub(4)];
        client.read_exact(&mut content).await?;
        if started {
            server.write_u8(kind).await?;
        }
        server.write_u32(length).await?;
        server.write_all(&content).await?;
        started = started || content.get(..4) != Some(&SSL_REQUEST);
        if kind == b'P'
            && let Some((sql, found)) = parse(&content)
        {
            types.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, found);
        }
    }
}

/// Name, statement, how many types, the types.
fn parse(content: &[u8]) -> Option<(String, Vec<u32>)> {
    let mut texts = content.splitn(3, |byte| *byte == 0);
    let (_, sql, rest) = (texts.next()?, texts.next()?, texts.next()?);
    let numbers =
        rest.get(2..)?.chunks_exact(4).map(|number| u32::from_be_bytes(number.try_into().unwrap_or_default()));
    Some((String::from_utf8(sql.to_vec()).ok()?, numbers.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_message_tells_the_statement_and_the_types() {
        let message = b"s1\0select $1, $2\0\0\x02\0\0\0\x19\0\0\x0b\x86";
        assert_eq!(parse(message), Some(("select $1, $2".to_owned(), vec![25, 2950])));
        assert_eq!(parse(b"nonsense"), None);
    }
}
