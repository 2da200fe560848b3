//! `quadrille dead-letters dry-run` and `edit`: what would come of an event, as it is or changed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use service_kit::dead_letters::Reason;

use super::remote::Remote;
use crate::service::Service;
use crate::table::{aligned, line};

/// A letter, and how it is to be changed.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Whose.
    pub service: Service,
    /// Its number, as `list` shows it.
    pub id: i64,
    /// A file with another body for it, as JSON.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Another value of a header, of those that may be changed; may be given several times.
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
}

/// What the service is asked for.
#[derive(Serialize)]
struct Change {
    /// To the letter: a number keeps its digits, and fields their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ChangeArgs {
    fn change(&self, reason: Option<&Reason>) -> anyhow::Result<Change> {
        let read = |file: &PathBuf| -> anyhow::Result<Box<RawValue>> {
            let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))
        };
        let payload = self.payload.as_ref().map(read).transpose()?;
        let mut headers = Map::new();
        for header in &self.headers {
            let (name, value) = header.split_once('=').with_context(|| format!("{header:?} is not NAME=VALUE"))?;
            headers.insert(name.to_owned(), json!(value));
        }
        Ok(Change { payload, headers, reason: reason.map(ToString::to_string) })
    }
}

/// Prints what would come of the letter. Fails if it would fail.
pub(super) async fn dry_run(remote: &Remote, arguments: &ChangeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let path = format!("/{}/dry-run", arguments.id);
    let tried = remote.send(Method::POST, &path, Some(&arguments.change(None)?)).await?;
    tell(&tried, out)?;
    ensure!(tried["outcome"] != "fails", "it would fail");
    Ok(())
}

fn tell(tried: &Value, out: &mut impl Write) -> anyhow::Result<()> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let why = tried["why"].as_str().map_or_else(String::new, |why| format!(": {why}"));
    let passes = if tried["may_pass"] == true { " (which may pass)" } else { "" };
    writeln!(out, "{}{why}{passes}", text(&tried["outcome"]))?;
    if let Some(ahead) = tried["ahead"].as_i64().filter(|ahead| *ahead > 0) {
        writeln!(out, "{ahead} of its key are replayed before it, and were left out here")?;
    }
    let rows = tried["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = vec![line(["TABLE", "INSERTED", "UPDATED", "DELETED"])];
    lines.extend(
        rows.iter().map(|row| ["table", "inserted", "updated", "deleted"].map(|name| text(&row[name])).to_vec()),
    );
    if lines.len() > 1 {
        aligned(&lines, out)?;
    }
    for table in rows {
        for change in table["changes"].as_array().into_iter().flatten() {
            let (before, after) = (&change["before"], &change["after"]);
            let name = text(&table["table"]);
            match (before.is_null(), after.is_null()) {
                (true, _) => writeln!(out, "\n{name}: would insert {after}")?,
                (_, true) => writeln!(out, "\n{name}: would delete {before}")?,
                _ => writeln!(out, "\n{name}: would make of {before}\n  {after}")?,
            }
        }
    }
    for event in tried["events"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "\nwould announce {} on {} for {}",
            text(&event["event_type"]),
            text(&event["topic"]),
            text(&event["key"])
        )?;
        for header in event["headers"].as_array().into_iter().flatten() {
            writeln!(out, "  {}: {}", text(&header["name"]), text(&header["value"]))?;
        }
        writeln!(out, "  {}", event["payload"]["value"])?;
    }
    Ok(())
}

/// Changes the letter for good.
pub(super) async fn edit(
    remote: &Remote,
    arguments: &ChangeArgs,
    reason: &Reason,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let change = arguments.change(Some(reason))?;
    ensure!(
        change.payload.is_some() || !change.headers.is_empty(),
        "nothing is to be changed: give --payload or --header"
    );
    let letter = remote.send(Method::POST, &format!("/{}/edit", arguments.id), Some(&change)).await?;
    Ok(writeln!(
        out,
        "dead letter {} was edited {} times; a replay runs the last version",
        arguments.id, letter["edits"]
    )?)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_payload_is_sent_as_it_was_written() {
        let file = std::env::temp_dir().join(format!("payload-{}.json", Uuid::now_v7()));
        let payload = r#"{"z":12345678901234567890123,"a":1.10}"#;
        std::fs::write(&file, payload).unwrap();
        let (service, headers) = (Service::OrderSvc, vec!["ce_time=2026-07-14T09:30:00Z".to_owned()]);
        let arguments = ChangeArgs { service, id: 7, payload: Some(file.clone()), headers };
        let change = arguments.change(Some(&"mended".parse().unwrap())).unwrap();
        std::fs::remove_file(file).unwrap();
        let rest = r#""headers":{"ce_time":"2026-07-14T09:30:00Z"},"reason":"mended""#;
        assert_eq!(serde_json::to_string(&change).unwrap(), format!("{{\"payload\":{payload},{rest}}}"));
    }

    #[test]
    fn what_would_come_is_told_by_table_and_by_event() {
        let tried = json!({
            "outcome": "applied", "why": null, "may_pass": false, "ahead": 2,
            "rows": [{"table": "orders", "inserted": 1, "updated": 0, "deleted": 0, "all_shown": true, "changes": [
                {"before": null, "after": {"id": 1}}, {"before": {"id": 2, "n": 1}, "after": {"id": 2, "n": 2}},
                {"before": {"id": 3}, "after": null}
            ]}],
            "events": [{
                "event_type": "stock.reserved.v1", "topic": "stock.v1", "key": "k",
                "headers": [{"name": "ce_type", "value": "stock.reserved.v1"}],
                "payload": {"format": "json", "value": {"n": 1}}
            }]
        });
        let mut out = Vec::new();
        tell(&tried, &mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        for part in [
            "applied\n2 of its key",
            "orders         1",
            "orders: would insert {\"id\":1}",
            "orders: would make of {\"id\":2,\"n\":1}\n  {\"id\":2,\"n\":2}",
            "orders: would delete {\"id\":3}",
            "would announce stock.reserved.v1 on stock.v1 for k",
            "{\"n\":1}",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
