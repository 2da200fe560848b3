//! A reader of server-sent events.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// Something that a stream told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// An event.
    Event { id: i64, kind: String, data: Value },
    /// A comment.
    Comment,
}

/// Reads a stream, block by block.
pub struct Reader {
    response: Response,
    text: String,
}

impl Reader {
    pub fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// What is told next; none once the stream has ended.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let told = read(block);
                self.text = rest.to_owned();
                match told {
                    Some(told) => return Some(told),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap();
            self.text += std::str::from_utf8(&chunk.unwrap()?).unwrap();
        }
    }

    /// The next event, whatever is said between: its id, and where the order stood after it.
    pub async fn event(&mut self) -> Option<(i64, String)> {
        loop {
            match self.next().await? {
                Told::Event { id, data, .. } => return Some((id, data["status"].as_str().unwrap().to_owned())),
                Told::Comment => {}
            }
        }
    }

    /// All events until the stream ends.
    pub async fn until_end(&mut self) -> Vec<(i64, String)> {
        let mut all = vec![];
        while let Some(event) = self.event().await {
            all.push(event);
        }
        all
    }
}

fn read(block: &str) -> Option<Told> {
    if block.starts_with(':') {
        return Some(Told::Comment);
    }
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let id = field("id")?.parse().unwrap();
    Some(Told::Event {
        id,
        kind: field("event").unwrap().to_owned(),
        data: serde_json::from_str(field("data").unwrap()).unwrap(),
    })
}
