//! Reads dead letters from a service's database, so that they are there to see while the service is away.

use std::io::Write;

use anyhow::Context;
use diesel_async::AsyncPgConnection;
use service_kit::dead_letters::{self, DeadLetter, Filter, Format, GroupId, Ungrouped};
use service_kit::pool;

use crate::service::Service;
use crate::table::{aligned, line};

/// How many are fetched at a time.
const PAGE: i64 = 500;

/// Writes a service's dead letters as a table and returns how many there are.
pub(super) async fn list(
    url: &str,
    service: Service,
    group: Option<GroupId>,
    out: &mut impl Write,
) -> anyhow::Result<i64> {
    let mut conn = pool::connect_to_read(url).await.with_context(|| format!("the database of {}", service.name()))?;
    let (mut after, mut found) = (0, 0);
    loop {
        let filter = Filter { group: group.clone(), key: None };
        let letters = dead_letters::list_of(&mut conn, filter, after, PAGE).await?;
        let Some(last) = letters.last() else { return Ok(found) };
        after = last.id;
        found += i64::try_from(letters.len())?;
        let mut rows = vec![line(["SERVICE", "ID", "EVENT", "KEY", "PLACE", "BURIED AT", "WHY"])];
        for letter in letters {
            let why = letter.error.as_deref().unwrap_or("waits behind another of its key");
            let asked = if letter.replay_requested_at.is_some() { " (replay asked for)" } else { "" };
            rows.push(line([
                service.name(),
                &letter.id.to_string(),
                letter.event_type.as_deref().unwrap_or("?"),
                &letter.key,
                &format!("{}[{}]@{}", letter.topic, letter.partition, letter.record_offset),
                &letter.buried_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                &format!("{why}{asked}"),
            ]));
        }
        aligned(&rows, out)?;
    }
}

/// Writes a service's groups as a table and returns how many letters they have.
pub(super) async fn groups(url: &str, service: Service, out: &mut impl Write) -> anyhow::Result<i64> {
    let mut conn = pool::connect_to_read(url).await.with_context(|| format!("the database of {}", service.name()))?;
    let (mut after, mut found) = (None, 0);
    loop {
        let groups = dead_letters::groups(&mut conn, after, PAGE).await?;
        let Some(last) = groups.last() else { break };
        after = Some(last.group.parse().map_err(anyhow::Error::msg)?);
        let mut rows =
            vec![line(["SERVICE", "GROUP", "EVENT", "LETTERS", "KEYS", "EXAMPLE", "FIRST", "LAST", "CAUSE"])];
        for group in groups {
            found += group.letters;
            rows.push(line([
                service.name(),
                &group.group,
                group.event_type.as_deref().unwrap_or("?"),
                &group.letters.to_string(),
                &group.keys.to_string(),
                &group.example.to_string(),
                &group.first_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                &group.last_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                &group.cause,
            ]));
        }
        aligned(&rows, out)?;
    }
    in_no_group(&mut conn, service, found, out).await
}

/// Writes what is in no group: letters whose causes are still to be found, or that wait with nothing ahead of them where no
/// consumer has noted that. Returns how many there are.
async fn in_no_group(
    conn: &mut AsyncPgConnection,
    service: Service,
    found: i64,
    out: &mut impl Write,
) -> anyhow::Result<i64> {
    let name = service.name();
    if let Some(Ungrouped { letters, keys, example }) = dead_letters::ungrouped(conn).await? {
        let what = format!("{letters} dead letters in {keys} keys are in no group yet, such as {example}");
        writeln!(out, "{name}: {what}; its consumer finds their causes")?;
        return Ok(found + letters);
    }
    if found > 0 {
        return Ok(found);
    }
    let waiting = i64::try_from(dead_letters::list(conn, 0, PAGE).await?.len())?;
    if waiting > 0 {
        let at_least = if waiting < PAGE { "" } else { " or more" };
        writeln!(out, "{name}: {waiting}{at_least} wait with no cause: see `quadrille dead-letters list {name}`")?;
    }
    Ok(waiting)
}

/// Writes how what waited behind a letter goes on, if something did.
pub(super) async fn next_of_key(
    conn: &mut AsyncPgConnection,
    service: Service,
    gone: &DeadLetter,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let of_key = Filter { group: None, key: Some(gone.key.clone()) };
    let left = dead_letters::list_of(conn, of_key, 0, PAGE).await?;
    let left: Vec<_> =
        left.iter().filter(|letter| letter.consumer == gone.consumer && letter.topic == gone.topic).collect();
    let Some(first) = left.first() else { return Ok(()) };
    let (count, name, id) = (left.len(), service.name(), first.id);
    Ok(writeln!(
        out,
        "{count} more of its key stay, and the key stays parked: `quadrille dead-letters replay {name} {id}` has them tried"
    )?)
}

/// Writes one letter: what is known of it, its headers and its value, and what waits behind it.
pub(super) async fn show(url: &str, id: i64, out: &mut impl Write) -> anyhow::Result<()> {
    let mut conn = pool::connect_to_read(url).await?;
    let shown = dead_letters::show(&mut conn, id).await?.with_context(|| format!("there is no dead letter {id}"))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&shown.letter)?)?;
    for header in &shown.headers {
        writeln!(out, "{}: {}", header.name, header.value)?;
    }
    let value = shown.payload.value.as_deref().map(serde_json::value::RawValue::get);
    match (shown.payload.format, value) {
        (Format::Json, Some(json)) => writeln!(out, "\n{json}")?,
        (Format::None, _) | (_, None) => writeln!(out, "\n(no value)")?,
        (Format::Text, Some(text)) => writeln!(out, "\n{}", serde_json::from_str::<String>(text)?)?,
        (Format::Base64, Some(text)) => writeln!(out, "\nbase64: {}", serde_json::from_str::<String>(text)?)?,
    }
    for version in dead_letters::versions(&mut conn, id).await? {
        let (by, why) = (version.made_by.as_deref().unwrap_or("-"), version.reason.as_deref().unwrap_or("as it came"));
        writeln!(
            out,
            "version {} of {}, by {by}: {why}",
            version.version,
            version.made_at.format("%Y-%m-%dT%H:%M:%SZ")
        )?;
    }
    writeln!(out, "\n{} are replayed before it, {} wait behind it", shown.ahead, shown.behind.count)?;
    for letter in &shown.behind.first {
        let event = letter.event_type.as_deref().unwrap_or("?");
        writeln!(out, "  {} {event} {}", letter.id, letter.error.as_deref().unwrap_or("waits"))?;
    }
    Ok(())
}
