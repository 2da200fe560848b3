//! The compose commands of docs/OPERATIONS.md, each run in the part of the test where it belongs. At the end every one
//! of them has been run, or is on the list of those that could not be, with the reason.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, bail};

use super::readme::{Command, Section};
use super::shell::{Shell, last_lines};

/// Where they are written down.
pub(super) const FILE: &str = "docs/OPERATIONS.md";
/// The section's heading begins so.
pub(super) const HEADING: &str = "## In containers";
/// The longest of them is a start from nothing.
const PATIENCE: Duration = Duration::from_secs(420);
/// A log that is followed says something sooner.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Fetches or builds images.
    Images,
    /// Starts the shop.
    Up,
    /// Sets the variables with the tokens.
    LogIn,
    /// Looks at something, or does something small to a running shop.
    Look,
    /// Looks, until Ctrl-C.
    Follow,
    /// More relays.
    ScaleRelays,
    /// One relay again.
    ScaleRelaysBack,
    /// The second instances.
    Second,
    /// The second instances go.
    SecondAway,
    /// The tools' profile.
    Tools,
    /// The one door's profile.
    Edge,
    /// The profile of figures, pictures and traces.
    Observability,
    /// Stops the shop; what it knows stays.
    Down,
    /// Stops the shop; nothing stays.
    Remove,
    /// This test itself.
    Test,
}

#[derive(Debug)]
struct Stop {
    command: Command,
    kind: Kind,
    ran: bool,
    skipped: Option<String>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Tour {
    stops: Vec<Stop>,
    shell: Shell,
    /// What the commands may refer to, such as `$order`.
    words: BTreeMap<&'static str, String>,
    /// The tables' rows of the section.
    pub rows: Vec<String>,
}

impl Tour {
    /// Reads the section. Fails if it isn't there, or has a command that is for nothing that this test knows.
    pub fn plan(root: &Path, shell: &Shell) -> anyhow::Result<Self> {
        let section = Section::read(root, FILE, HEADING)?;
        let stop = |command: Command| {
            let kind = kind(&command.words()).with_context(|| {
                format!("{FILE} line {}: this test has no place for `{}`", command.line, command.text)
            })?;
            anyhow::Ok(Stop { command, kind, ran: false, skipped: None })
        };
        let mut stops = section.commands()?.into_iter().map(stop).collect::<anyhow::Result<Vec<_>>>()?;
        for own in stops.iter_mut().filter(|stop| stop.kind == Kind::Test) {
            own.skipped = Some("it is this test".to_owned());
        }
        Ok(Self { stops, shell: shell.clone(), words: BTreeMap::new(), rows: section.rows })
    }

    /// What `$name` stands for in the commands from now on.
    pub fn remember(&mut self, name: &'static str, value: &str) {
        self.words.insert(name, value.to_owned());
    }

    /// Runs every command of a kind, again if it ran before. Returns how many there are; fails if there is none.
    pub async fn run(&mut self, kind: Kind) -> anyhow::Result<usize> {
        match self.run_any(kind).await? {
            0 => bail!("{FILE} has no command for {kind:?} in `{HEADING}`"),
            count => Ok(count),
        }
    }

    /// Like [`Self::run`], but there need not be any.
    pub async fn run_any(&mut self, kind: Kind) -> anyhow::Result<usize> {
        let words: Vec<_> = self.words.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut count = 0;
        for stop in self.stops.iter_mut().filter(|stop| stop.kind == kind && stop.skipped.is_none()) {
            let text = match kind {
                Kind::LogIn => &format!("{} && : \"${{CUSTOMER:?}}${{STAFF:?}}${{OPERATOR:?}}\"", stop.command.text),
                _ => &stop.command.text,
            };
            let output = if kind == Kind::Follow {
                self.shell.followed(text, &words, FIRST_WORD).await
            } else {
                self.shell.typed(text, &words, PATIENCE).await
            };
            let output = output.with_context(|| format!("{FILE} line {}", stop.command.line))?;
            if !output.success {
                bail!("{FILE} line {}: `{text}` failed: {}", stop.command.line, last_lines(&output.text, 6));
            }
            if matches!(kind, Kind::Look | Kind::Follow) && output.text.trim().is_empty() {
                bail!("{FILE} line {}: `{text}` shows nothing", stop.command.line);
            }
            // whoever looks at one order must see it
            let unseen = |(name, value): &&(&str, &str)| {
                kind == Kind::Look && text.contains(&format!("${name}")) && !output.text.contains(value)
            };
            if let Some((name, value)) = words.iter().find(unseen) {
                bail!("{FILE} line {}: `{text}` doesn't show {name} {value}", stop.command.line);
            }
            stop.ran = true;
            count += 1;
        }
        Ok(count)
    }

    /// Leaves all commands of a kind out.
    pub fn skip(&mut self, kind: Kind, why: &str) {
        for stop in self.stops.iter_mut().filter(|stop| stop.kind == kind && !stop.ran) {
            stop.skipped = Some(why.to_owned());
        }
    }

    /// What became of them. Fails if one was never run.
    pub fn account(&self) -> anyhow::Result<String> {
        if let Some(left) = self.stops.iter().find(|stop| !stop.ran && stop.skipped.is_none()) {
            bail!("{FILE} line {}: `{}` was never run", left.command.line, left.command.text);
        }
        let ran = self.stops.iter().filter(|stop| stop.ran).count();
        let skipped = self.stops.iter().filter_map(|stop| Some((&stop.command.text, stop.skipped.as_ref()?)));
        let skipped: Vec<_> = skipped.map(|(text, why)| format!("left out `{text}`: {why}")).collect();
        Ok([vec![format!("{ran} of {} commands run as written", self.stops.len())], skipped].concat().join("; "))
    }
}

/// What a command is for, by its words; none if they don't tell.
fn kind(words: &[&str]) -> Option<Kind> {
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    // variables may be set before the command
    let program: Vec<_> = words.iter().skip_while(|word| word.contains('=')).copied().collect();
    match program.as_slice() {
        ["make", "test-compose", ..] => return Some(Kind::Test),
        ["eval", "$(docker", "compose", ..] if has(&["login", "login)"]) => return Some(Kind::LogIn),
        ["docker", "compose", ..] => {}
        ["curl" | "cargo" | "docker", ..] => return Some(Kind::Look),
        _ => return None,
    }
    let profile = program.windows(2).find(|pair| pair[0] == "--profile").map(|pair| pair[1]);
    let relays = program.iter().find_map(|word| word.strip_prefix("order-relay="));
    if has(&["down"]) {
        return Some(if has(&["-v", "--volumes"]) { Kind::Remove } else { Kind::Down });
    }
    let leaves = has(&["rm", "stop"]);
    Some(match profile {
        Some("tools") => Kind::Tools,
        Some("edge") => Kind::Edge,
        Some("observability") => Kind::Observability,
        Some("scale") if has(&["up"]) => Kind::Second,
        Some("scale") if leaves => Kind::SecondAway,
        Some(_) => return None,
        None if relays == Some("1") => Kind::ScaleRelaysBack,
        None if relays.is_some() => Kind::ScaleRelays,
        None if has(&["build", "pull"]) && !has(&["up"]) => Kind::Images,
        // in the foreground it would never end
        None if has(&["up"]) => return has(&["-d", "--detach", "--wait"]).then_some(Kind::Up),
        None if has(&["logs"]) && has(&["-f", "--follow"]) => Kind::Follow,
        None if has(&["tail"]) && has(&["run", "exec"]) && !has(&["--to-end"]) => Kind::Follow,
        None if leaves => return None,
        None => Kind::Look,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Kind> {
        kind(&text.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn a_command_is_known_by_its_words() {
        let known = [
            ("docker compose up --detach", Kind::Up),
            ("QUADRILLE_IMAGE=here docker compose up -d", Kind::Up),
            ("docker compose up -d --scale order-relay=3", Kind::ScaleRelays),
            ("docker compose up -d --scale order-relay=1", Kind::ScaleRelaysBack),
            ("docker compose --profile scale up -d", Kind::Second),
            ("docker compose --profile scale rm --stop --force order-svc-2", Kind::SecondAway),
            ("docker compose --profile tools up -d", Kind::Tools),
            ("docker compose exec kafka-tools quadrille tail --key $order --from-beginning --to-end", Kind::Look),
            ("docker compose run --rm cli tail", Kind::Follow),
            ("docker compose logs -f order-svc", Kind::Follow),
            ("docker compose ps", Kind::Look),
            ("docker compose down", Kind::Down),
            ("docker compose --profile scale --profile tools down", Kind::Down),
            ("docker compose down --volumes", Kind::Remove),
            ("eval $(docker compose run --rm -T quadrille login)", Kind::LogIn),
            ("make test-compose", Kind::Test),
        ];
        for (text, kind) in known {
            assert_eq!(of(text), Some(kind), "{text}");
        }
    }

    #[test]
    fn a_command_that_fits_nowhere_or_never_ends_is_refused() {
        for text in ["docker compose up", "rm -rf .", "docker compose stop order-svc", "docker compose --profile x up"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
