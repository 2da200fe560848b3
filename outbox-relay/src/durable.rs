//! How durable a row must be before it is published.

use std::cmp::Reverse;
use std::str::FromStr;

/// Where the commit that made a row visible must be before the row is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Durable {
    /// In the database that the relay reads. A standby that is promoted may lack it.
    #[default]
    Local,
    /// On the disks of those standbys that a synchronous commit waits for, as `synchronous_standby_names` says.
    Synchronous,
    /// On the disk of each of these standbys, by their `application_name`.
    Standbys(Vec<String>),
}

impl FromStr for Durable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "local" => Ok(Self::Local),
            None if text == "standbys" => Ok(Self::Synchronous),
            Some(("standbys", names)) => {
                let names: Vec<_> = names.split(',').map(|name| name.trim().to_owned()).collect();
                if names.iter().any(String::is_empty) { Err("a name is empty") } else { Ok(Self::Standbys(names)) }
            }
            _ => Err("it is neither local nor standbys"),
        }
    }
}

/// What a primary knows of itself and of its standbys at one moment. Positions are bytes of WAL since its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Where the WAL ends. Whatever a snapshot has seen that was taken before lies below it.
    pub inserted: i64,
    /// Up to where the primary's own disk has it.
    pub flushed: i64,
    /// The setting `synchronous_standby_names`.
    pub names: String,
    /// Who receives the WAL and has said how far.
    pub standbys: Vec<Standby>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standby {
    pub name: String,
    /// `sync`, `quorum`, `potential` or `async`.
    pub state: String,
    /// Up to where its disk has the WAL.
    pub flushed: i64,
}

/// A look as the statement returns it: the two ends of the WAL, the setting, and the standbys' names, states and positions.
pub(crate) type LookColumns = (i64, i64, String, Vec<String>, Vec<String>, Vec<i64>);

impl From<LookColumns> for Look {
    fn from((inserted, flushed, names, standbys, states, positions): LookColumns) -> Self {
        let standbys = standbys.into_iter().zip(states).zip(positions);
        let standbys = standbys.map(|((name, state), flushed)| Standby { name, state, flushed }).collect();
        Self { inserted, flushed, names, standbys }
    }
}

impl Durable {
    /// Up to where the WAL is as durable as this demands.
    ///
    /// # Errors
    /// Nobody can say, for this reason: a standby that is needed is not there, or there is none at all.
    pub(crate) fn reached(&self, look: &Look) -> Result<i64, String> {
        match self {
            Self::Local => Ok(look.inserted),
            Self::Synchronous => synchronous(look),
            Self::Standbys(names) => {
                let of_each = names.iter().map(|name| named(look, name));
                of_each.collect::<Result<Vec<_>, _>>().map(|positions| positions.into_iter().min().unwrap_or_default())
            }
        }
    }
}

fn named(look: &Look, name: &str) -> Result<i64, String> {
    let of_name = look.standbys.iter().filter(|standby| standby.name.eq_ignore_ascii_case(name));
    // Two of one name are told apart by nothing, so the slower one counts.
    of_name.map(|standby| standby.flushed).min().ok_or_else(|| format!("the standby {name} is not connected"))
}

/// As PostgreSQL's own commits wait: for the slowest of the first n, or for the n quickest of any. Which standbys count
/// PostgreSQL says by their state; only n has to be read from the setting.
fn synchronous(look: &Look) -> Result<i64, String> {
    let Some(needed) = needed(&look.names) else {
        return Err("no standby is synchronous: synchronous_standby_names is empty".to_owned());
    };
    let mut positions: Vec<_> = look
        .standbys
        .iter()
        .filter(|standby| matches!(standby.state.as_str(), "sync" | "quorum"))
        .map(|standby| standby.flushed)
        .collect();
    positions.sort_unstable_by_key(|position| Reverse(*position));
    let too_few = || format!("of {needed} synchronous standbys that a commit waits for {} are there", positions.len());
    needed.checked_sub(1).and_then(|last| positions.get(last)).copied().ok_or_else(too_few)
}

/// How many standbys a commit waits for. `FIRST n (...)`, `ANY n (...)`, `n (...)`, or names alone, which is the first.
fn needed(setting: &str) -> Option<usize> {
    let setting = setting.trim();
    if setting.is_empty() {
        return None;
    }
    let word = |word: &str| {
        let head = setting.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word))?;
        setting.get(head.len()..).filter(|rest| rest.starts_with(|sign: char| sign.is_whitespace()))
    };
    let counted = word("first").or_else(|| word("any")).unwrap_or(setting).trim_start();
    let digits = counted.len() - counted.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let (number, rest) = counted.split_at(digits);
    Some(if rest.trim_start().starts_with('(') { number.parse().unwrap_or(1) } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(names: &str, standbys: &[(&str, &str, i64)]) -> Look {
        let standby = |(name, state, flushed): &(&str, &str, i64)| Standby {
            name: (*name).to_owned(),
            state: (*state).to_owned(),
            flushed: *flushed,
        };
        Look { inserted: 100, flushed: 90, names: names.to_owned(), standbys: standbys.iter().map(standby).collect() }
    }

    fn reached(durable: &str, names: &str, standbys: &[(&str, &str, i64)]) -> Result<i64, String> {
        durable.parse::<Durable>().unwrap().reached(&look(names, standbys))
    }

    #[test]
    fn what_is_demanded_is_local_or_synchronous_standbys_or_named_ones() {
        assert_eq!("local".parse(), Ok(Durable::Local));
        assert_eq!("standbys".parse(), Ok(Durable::Synchronous));
        assert_eq!("standbys:a, b".parse(), Ok(Durable::Standbys(vec!["a".to_owned(), "b".to_owned()])));
        for wrong in ["", "Local", "standby", "standbys:", "standbys:a,,b", "local:a"] {
            assert!(wrong.parse::<Durable>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn how_many_standbys_a_commit_waits_for_is_read_from_every_form_of_the_setting() {
        for (setting, expected) in [
            ("", None),
            ("  ", None),
            ("*", Some(1)),
            ("a, b", Some(1)),
            ("2 (a, b)", Some(2)),
            ("FIRST 2 (a,b,c)", Some(2)),
            ("first 3(*)", Some(3)),
            ("  Any  12 ( a )", Some(12)),
            ("first, second", Some(1)),
            ("first", Some(1)),
            ("anyone", Some(1)),
            ("\"ANY\", b", Some(1)),
            ("2, 3", Some(1)),
        ] {
            assert_eq!(needed(setting), expected, "{setting:?}");
        }
    }

    #[test]
    fn of_the_first_n_the_slowest_counts_and_one_that_would_only_follow_does_not() {
        let standbys = [("a", "sync", 70), ("b", "sync", 50), ("c", "potential", 90), ("d", "async", 95)];
        assert_eq!(reached("standbys", "FIRST 2 (a, b, c)", &standbys), Ok(50));
        assert_eq!(reached("standbys", "a", &standbys[..1]), Ok(70));
        let told = reached("standbys", "FIRST 3 (a, b, c)", &standbys).unwrap_err();
        assert_eq!(told, "of 3 synchronous standbys that a commit waits for 2 are there");
    }

    #[test]
    fn of_any_n_the_nth_quickest_counts() {
        let standbys = [("a", "quorum", 40), ("b", "quorum", 80), ("c", "quorum", 60)];
        assert_eq!(reached("standbys", "ANY 1 (*)", &standbys), Ok(80));
        assert_eq!(reached("standbys", "ANY 2 (*)", &standbys), Ok(60));
        assert_eq!(reached("standbys", "ANY 3 (*)", &standbys), Ok(40));
        assert!(reached("standbys", "ANY 4 (*)", &standbys).is_err());
    }

    #[test]
    fn without_a_synchronous_standby_nothing_is_durable() {
        let told = reached("standbys", "", &[("a", "async", 100)]).unwrap_err();
        assert!(told.contains("synchronous_standby_names is empty"), "{told}");
        assert!(reached("standbys", "*", &[]).unwrap_err().contains("of 1 synchronous standbys"));
    }

    #[test]
    fn each_named_standby_must_be_there_and_the_slowest_counts_whatever_its_state() {
        let standbys = [("a", "async", 70), ("B", "sync", 60), ("b", "sync", 65)];
        assert_eq!(reached("standbys:a", "", &standbys), Ok(70));
        assert_eq!(reached("standbys:a,b", "", &standbys), Ok(60));
        assert_eq!(reached("standbys:a,c", "", &standbys), Err("the standby c is not connected".to_owned()));
    }
}
