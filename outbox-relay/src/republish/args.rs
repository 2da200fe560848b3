//! The arguments of `outbox-relay republish`.

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use service_kit::config::Seconds;

use super::Window;

pub(super) const USAGE: &str = "usage: outbox-relay republish --topic TOPIC [options]

Sends what was published on a topic again, from the archive (OUTBOX_RELAY_ARCHIVE): in the order of the first time, with the
same keys, headers and values. The database's relay must be stopped. What is pending stays so, for the relay to publish
afterwards. To rebuild a topic: stop the relay, delete and create the topic, republish, start the relay.

  --from TIME      published from this time on; where it isn't given, from where the archive is whole
  --to TIME        published before this time; to the end where it isn't given
                   TIME is 2026-01-31T12:00:00Z, 2026-01-31 (UTC), or a duration such as 2h for so long ago
  --after ID       only rows after this one: continues a run that was stopped
  --incomplete     send what there is, also where the archive lacks a part of the window
  --older          send also what is older than the inboxes of service-kit's consumers reach (30 days), which make dead
                   letters of it
  --database NAME  one of OUTBOX_RELAY_DATABASES (HOST:PORT/NAME, or its last part), or a URL; all where it isn't given
  --dry-run        say what would be sent, and send nothing

Exit code: 0 when all is sent, 130 when it was stopped before (the last line says how to continue), 1 when it can't go on.";

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Args {
    pub window: Window,
    pub database: Option<String>,
    pub dry_run: bool,
}

/// Reads the arguments after `republish`.
pub(super) fn read(arguments: &[&str], now: DateTime<Utc>) -> anyhow::Result<Args> {
    let mut args = Args { window: Window::whole(""), database: None, dry_run: false };
    let mut rest = arguments.iter().copied();
    while let Some(argument) = rest.next() {
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let mut value = || given.or_else(|| rest.next()).with_context(|| format!("{name} needs a value"));
        match name {
            "--topic" => value()?.clone_into(&mut args.window.topic),
            "--from" => args.window.from = Some(time(name, value()?, now)?),
            "--to" => args.window.to = Some(time(name, value()?, now)?),
            "--after" => {
                let id = value()?;
                args.window.after = id.parse().with_context(|| format!("--after {id}: {id} is not the id of a row"))?;
            }
            "--database" => args.database = Some(value()?.to_owned()),
            "--incomplete" => args.window.incomplete = true,
            "--older" => args.window.older = true,
            "--dry-run" => args.dry_run = true,
            _ => bail!("there is no option {name}; `outbox-relay republish --help` lists them"),
        }
    }
    let Window { topic, from, to, .. } = &args.window;
    if topic.is_empty() {
        bail!("--topic is missing: which topic shall be sent again? `outbox-relay republish --help` tells more");
    }
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        bail!("--from {} is not before --to {}", told(*from), told(*to));
    }
    Ok(args)
}

fn time(name: &str, text: &str, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let rfc3339 = || DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    let ago = || {
        let Seconds(time) = text.parse().ok()?;
        now.checked_sub_signed(TimeDelta::from_std(time).ok()?)
    };
    rfc3339().or_else(day).or_else(ago).with_context(|| {
        format!("{name} {text}: expected a time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31, or 2h for 2 hours ago")
    })
}

/// A time as `--from` and `--to` take it, to the microsecond.
pub(super) fn told(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn refusal(arguments: &[&str]) -> String {
        read(arguments, Utc::now()).unwrap_err().to_string()
    }

    #[test]
    fn times_are_read_as_instants_days_and_durations() {
        let now = at("2026-03-01T10:00:00Z");
        let read = |from| read(&["--topic", "t", "--from", from], now).unwrap().window.from;
        assert_eq!(read("2026-01-31T12:00:00+01:00"), Some(at("2026-01-31T11:00:00Z")));
        assert_eq!(read("2026-01-31"), Some(at("2026-01-31T00:00:00Z")));
        assert_eq!(read("2h"), Some(at("2026-03-01T08:00:00Z")));
        let exact = at("2026-01-31T12:00:00.123456Z");
        assert_eq!(read(&told(exact)), Some(exact), "what is told can be said");
    }

    #[test]
    fn options_may_stand_in_any_order_and_with_an_equals_sign() {
        let args = read(&["--dry-run", "--after=7", "--database", "shop", "--topic=t", "--incomplete"], Utc::now());
        let window = Window { after: 7, incomplete: true, ..Window::whole("t") };
        assert_eq!(args.unwrap(), Args { window, database: Some("shop".to_owned()), dry_run: true });
    }

    #[test]
    fn what_can_not_be_meant_is_refused_with_its_option() {
        assert!(refusal(&[]).contains("--topic is missing"));
        assert!(refusal(&["--topic"]).contains("--topic needs a value"));
        assert!(refusal(&["--topic", "t", "--from", "soon"]).contains("--from soon: expected a time"));
        assert!(refusal(&["--topic", "t", "--after", "x"]).contains("x is not the id of a row"));
        assert!(refusal(&["--topic", "t", "--form", "1h"]).contains("there is no option --form"));
        assert!(refusal(&["--topic", "t", "--from", "1h", "--to", "2h"]).contains("is not before --to"));
    }
}
