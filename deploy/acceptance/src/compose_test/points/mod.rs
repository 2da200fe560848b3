pub(super) mod audit;
pub(super) mod bad_input;
pub(super) mod curls;
pub(super) mod down_and_up;
pub(super) mod edge;
pub(super) mod ends;
pub(super) mod file;
pub(super) mod forgery;
pub(super) mod hardening;
pub(super) mod image;
pub(super) mod killed;
pub(super) mod profiles;
pub(super) mod relays;
pub(super) mod restart_policy;
pub(super) mod rights;
pub(super) mod second_instances;
pub(super) mod too_few_partitions;
pub(super) mod up;

use std::time::Duration;

/// Longer than any order waits after what was broken is whole again.
pub(super) const SETTLES: Duration = Duration::from_secs(120);
/// A container that was started again is healthy sooner.
pub(super) const WELL_AGAIN: Duration = Duration::from_secs(120);
