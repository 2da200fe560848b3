//! What processes have used of the processors and the memory, from `/proc`.

use std::{collections::BTreeMap, fs, time::Duration};

use nix::unistd::{SysconfVar, sysconf};

/// Processor time of a process, of its living children, and of those that it has waited for.
pub fn cpu(pid: i32) -> Duration {
    let own = Stat::of(pid).map_or(0, |stat| stat.used + stat.reaped);
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Stat::of);
    let living: u64 = children.filter(|child| child.parent == pid).map(|child| child.used).sum();
    let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100);
    Duration::from_millis((own + living) * 1_000 / second)
}

/// The same for several processes, by name.
pub fn cpu_of(processes: &[(String, i32)]) -> BTreeMap<String, Duration> {
    processes.iter().map(|(name, pid)| (name.clone(), cpu(*pid))).collect()
}

/// Memory that a process has now and had at most, in MB.
pub fn memory(pid: i32) -> Option<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = |field: &str| -> Option<f64> {
        status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
    };
    Some((kilobytes("VmRSS:")? / 1024.0, kilobytes("VmHWM:")? / 1024.0))
}

struct Stat {
    parent: i32,
    used: u64,
    reaped: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // the name, in brackets, may hold anything
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            used: ticks(11)? + ticks(12)?,
            reaped: ticks(13)? + ticks(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while cpu(pid) < Duration::from_millis(20) {
            assert!(std::time::Instant::now() < until, "no processor time was counted");
            std::hint::black_box((0..100_000u64).sum::<u64>());
        }
        let (now, most) = memory(pid).unwrap();
        assert!(now > 0.5 && most >= now, "{now} MB, at most {most} MB");
    }
}
