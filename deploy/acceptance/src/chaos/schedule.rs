//! Which fault comes when: drawn from the seed alone, so that the same seed brings the same.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// From the end of a fault of something to the next of the same.
const APART: Duration = Duration::from_secs(2);
/// Nothing begins so late that it would end after the run.
const LONGEST: Duration = Duration::from_secs(20);

const PROGRAMS: [&str; 7] =
    ["order-svc", "stock-svc", "payment-svc", "notification-svc", "outbox-relay", "sandbox-gateway", "console"];
const SERVERS: [&str; 2] = ["postgres", "kafka"];
const DATABASES: [&str; 4] = ["order_svc", "stock_svc", "payment_svc", "notification_svc"];
const GATEWAY: [&str; 1] = ["gateway"];
const LINKS: [&str; 2] = ["to postgres", "to kafka"];
const TOPICS: [&str; 5] = ["orders.v1", "stock.v1", "payments.v1", "shipments.v1", "notifications.v1"];

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// kill -9 of a program, which its supervisor starts again.
    Killed,
    /// A program stands still, its connections open.
    Frozen,
    /// A program is ended in order and stays away for a while.
    Away,
    /// kill -9 of PostgreSQL or of the broker, which is away for a while; the embedded broker comes back at once, and everything that
    /// was published is published again.
    ServerKilled,
    /// PostgreSQL or the broker stands still.
    ServerFrozen,
    /// PostgreSQL ends all sessions of a database.
    SessionsEnded,
    /// A database takes no writes.
    ReadOnly,
    /// Somebody holds a lock on a table.
    LockHeld,
    /// Somebody holds a snapshot.
    SnapshotHeld,
    /// All connections to PostgreSQL or to the broker are cut.
    ConnectionsCut,
    /// They pass nothing on.
    ConnectionsHeld,
    /// Each piece takes longer.
    ConnectionsSlow,
    /// Half of the requests to the gateway are answered 500, and half of those were done all the same.
    GatewayFails,
    /// The gateway takes its time.
    GatewaySlow,
    /// It does what it is asked and says so only when it is asked again.
    AnswersWithheld,
    /// Its webhooks come twice, in any order.
    WebhooksTwice,
    /// They never come.
    WebhooksLost,
    /// A record that nobody can read.
    Poison,
    /// A record comes again that was there before.
    Repeated,
}

/// How often a kind comes beside the others, whom it may hit, and how long it lasts in milliseconds.
struct Row {
    kind: Kind,
    weight: u32,
    whom: &'static [&'static str],
    millis: std::ops::Range<u64>,
}

const ROWS: [Row; 19] = [
    row(Kind::Killed, 8, &PROGRAMS, 0..1),
    row(Kind::Frozen, 5, &PROGRAMS, 1_000..15_000),
    row(Kind::Away, 3, &PROGRAMS, 1_000..8_000),
    row(Kind::ServerKilled, 2, &SERVERS, 200..4_000),
    row(Kind::ServerFrozen, 2, &SERVERS, 500..6_000),
    row(Kind::SessionsEnded, 5, &DATABASES, 0..1),
    row(Kind::ReadOnly, 3, &DATABASES, 1_000..6_000),
    row(Kind::LockHeld, 4, &DATABASES, 1_000..8_000),
    row(Kind::SnapshotHeld, 3, &DATABASES, 3_000..20_000),
    row(Kind::ConnectionsCut, 4, &LINKS, 0..1),
    row(Kind::ConnectionsHeld, 3, &LINKS, 500..8_000),
    row(Kind::ConnectionsSlow, 3, &LINKS, 2_000..10_000),
    row(Kind::GatewayFails, 3, &GATEWAY, 2_000..10_000),
    row(Kind::GatewaySlow, 3, &GATEWAY, 2_000..10_000),
    row(Kind::AnswersWithheld, 3, &GATEWAY, 2_000..10_000),
    row(Kind::WebhooksTwice, 3, &GATEWAY, 2_000..10_000),
    row(Kind::WebhooksLost, 3, &GATEWAY, 2_000..10_000),
    row(Kind::Poison, 4, &TOPICS, 0..1),
    row(Kind::Repeated, 5, &TOPICS, 0..1),
];

const fn row(kind: Kind, weight: u32, whom: &'static [&'static str], millis: std::ops::Range<u64>) -> Row {
    Row { kind, weight, whom, millis }
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Away => "away",
            Self::ServerKilled => "server killed",
            Self::ServerFrozen => "server frozen",
            Self::SessionsEnded => "sessions ended",
            Self::ReadOnly => "read-only",
            Self::LockHeld => "lock held",
            Self::SnapshotHeld => "snapshot held",
            Self::ConnectionsCut => "connections cut",
            Self::ConnectionsHeld => "connections held",
            Self::ConnectionsSlow => "connections slow",
            Self::GatewayFails => "gateway fails",
            Self::GatewaySlow => "gateway slow",
            Self::AnswersWithheld => "answers withheld",
            Self::WebhooksTwice => "webhooks twice",
            Self::WebhooksLost => "webhooks lost",
            Self::Poison => "poison event",
            Self::Repeated => "repeated event",
        }
    }
}

impl Kind {
    /// Whether it goes on until it is ended.
    pub const fn goes_on(self) -> bool {
        matches!(
            self,
            Self::Frozen
                | Self::Away
                | Self::ReadOnly
                | Self::ConnectionsHeld
                | Self::ConnectionsSlow
                | Self::GatewayFails
                | Self::GatewaySlow
                | Self::AnswersWithheld
                | Self::WebhooksTwice
                | Self::WebhooksLost
        )
    }
}

/// A fault that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// From the beginning of the run.
    pub at: Duration,
    pub kind: Kind,
    pub whom: &'static str,
    pub lasts: Duration,
    /// For what is drawn when it comes: which table, which record.
    pub draw: u64,
}

impl Planned {
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// The faults of a run: about so many a minute, in the order in which they begin. `has` says what this run can do.
pub(super) fn draw(seed: u64, over: Duration, a_minute: u32, has: impl Fn(Kind, &str) -> bool) -> Vec<Planned> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut planned, mut free) = (Vec::<Planned>::new(), BTreeMap::<&str, Duration>::new());
    let mean = Duration::from_secs(60) / a_minute.max(1);
    let mut at = mean;
    while at + LONGEST < over {
        let (kind, whom, millis, draw) = one(&mut rng);
        let begins = free.get(whom).map_or(at, |free| at.max(*free));
        let fault = Planned { at: begins, kind, whom, lasts: Duration::from_millis(millis), draw };
        if has(kind, whom) && fault.at + LONGEST < over {
            free.insert(whom, fault.ends() + APART);
            planned.push(fault);
        }
        at += mean.mul_f64(rng.random_range(0.5..1.5));
    }
    planned.sort_by_key(|fault| fault.at);
    planned
}

fn one(rng: &mut StdRng) -> (Kind, &'static str, u64, u64) {
    let mut left = rng.random_range(0..ROWS.iter().map(|row| row.weight).sum());
    let mut found = &ROWS[0];
    for row in &ROWS {
        found = row;
        if left < row.weight {
            break;
        }
        left -= row.weight;
    }
    let whom = found.whom[rng.random_range(0..found.whom.len())];
    (found.kind, whom, rng.random_range(found.millis.clone()), rng.random())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    #[test]
    fn the_same_seed_brings_the_same_faults_and_another_seed_others() {
        let of = |seed| draw(seed, TEN_MINUTES, 12, |_, _| true);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn ten_minutes_have_a_hundred_faults_of_a_dozen_kinds_and_all_end_before_the_run() {
        for seed in 0..50 {
            let faults = draw(seed, TEN_MINUTES, 12, |_, _| true);
            let kinds: BTreeSet<_> = faults.iter().map(|fault| fault.kind).collect();
            assert!(faults.len() >= 100 && kinds.len() >= 12, "seed {seed}: {} of {} kinds", faults.len(), kinds.len());
            assert!(faults.iter().all(|fault| fault.ends() <= TEN_MINUTES));
        }
    }

    #[test]
    fn whoever_has_trouble_has_one_trouble_at_a_time() {
        for seed in 0..50 {
            let mut until = BTreeMap::new();
            for fault in draw(seed, TEN_MINUTES, 30, |_, _| true) {
                let before = until.insert(fault.whom, fault.ends());
                assert!(before.is_none_or(|before| before < fault.at), "seed {seed}: {fault:?}");
            }
        }
    }

    #[test]
    fn what_a_run_can_not_do_is_left_out_and_the_rest_stays_where_it_is() {
        let all = draw(3, TEN_MINUTES, 12, |_, _| true);
        let some = draw(3, TEN_MINUTES, 12, |_, whom| whom != "console");
        let without: Vec<_> = all.into_iter().filter(|fault| fault.whom != "console").collect();
        assert_eq!(some, without);
    }
}
