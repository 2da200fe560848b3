//! What processes have used of the processors, as Linux tells it.

use std::{collections::BTreeMap, fs};

use anyhow::Context;

/// Linux tells every program of a hundredth of a second, whatever its own clock does.
const TICKS_A_SECOND: f64 = 100.0;

/// Seconds by process.
pub(super) struct Times(BTreeMap<String, f64>);

impl Times {
    /// What was used since an earlier look, by those that were there then.
    pub fn since(self, earlier: &Self) -> impl Iterator<Item = (String, f64)> {
        self.0.into_iter().filter_map(|(name, used)| Some((name.clone(), used - earlier.0.get(&name)?)))
    }
}

impl FromIterator<(String, f64)> for Times {
    fn from_iter<I: IntoIterator<Item = (String, f64)>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

/// The seconds of one process.
pub(super) fn of(pid: i32) -> anyhow::Result<f64> {
    let stat = Stat::read(pid)?;
    Ok(stat.own)
}

/// The seconds of a process and its children, those that have ended included.
pub(super) fn of_family(pid: i32) -> anyhow::Result<f64> {
    let head = Stat::read(pid)?;
    let others = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // one that ends meanwhile counts with its parent the next time
    let children = others.filter_map(|other| Stat::read(other).ok()).filter(|stat| stat.parent == pid);
    Ok(head.own + head.ended_children + children.map(|child| child.own).sum::<f64>())
}

struct Stat {
    parent: i32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn read(pid: i32) -> anyhow::Result<Self> {
        let told = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&told).with_context(|| format!("/proc/{pid}/stat is not as it was"))
    }

    /// The name, in parentheses, may hold anything; the parent is the second after it, the times the 12th to 15th.
    fn parse(told: &str) -> Option<Self> {
        let after: Vec<_> = told.rsplit_once(") ")?.1.split(' ').collect();
        let seconds = |place: usize| Some(after.get(place)?.parse::<f64>().ok()? / TICKS_A_SECOND);
        Some(Self {
            parent: after.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            ended_children: seconds(13)? + seconds(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let told = "7 (a) (b) c) S 3 7 7 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 100 1 1";
        let stat = Stat::parse(told).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (3, 2.0, 0.5));
        assert!(Stat::parse("7 (a) S 3").is_none());
    }

    #[test]
    fn what_a_process_has_used_only_grows_and_its_children_count() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (own, family) = (of(pid).unwrap(), of_family(pid).unwrap());
        assert!(own >= 0.0 && family >= own && of(pid).unwrap() >= own);
    }
}
