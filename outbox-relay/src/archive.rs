//! How long published rows are kept.

use std::str::FromStr;
use std::time::Duration;

use service_kit::config::Seconds;

/// Published rows stay in `outbox_archive` for this long at least, and are then dropped partition by partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive(Duration);

const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24 * 3650);

impl Archive {
    /// The time in seconds, as the function `outbox_archive_tend` takes it.
    pub(crate) const fn seconds(self) -> i64 {
        self.0.as_secs().cast_signed()
    }
}

impl TryFrom<Duration> for Archive {
    type Error = &'static str;

    fn try_from(time: Duration) -> Result<Self, Self::Error> {
        if time < SHORTEST {
            Err("it is less than a minute")
        } else if time > LONGEST {
            Err("it is more than 3650d")
        } else {
            Ok(Self(time))
        }
    }
}

impl From<Archive> for Duration {
    fn from(archive: Archive) -> Self {
        archive.0
    }
}

impl FromStr for Archive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Seconds(time) = text.parse().map_err(|error| format!("{error}"))?;
        Self::try_from(time).map_err(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_keep_rows_is_read_in_days_too_and_has_bounds() {
        assert_eq!("7d".parse::<Archive>().map(Archive::seconds), Ok(7 * 86_400));
        assert_eq!("168h".parse::<Archive>(), "7d".parse());
        assert!("59s".parse::<Archive>().unwrap_err().contains("less than a minute"));
        assert!("3651d".parse::<Archive>().unwrap_err().contains("3650d"));
        assert!("for ever".parse::<Archive>().unwrap_err().contains("a whole number"));
    }
}
