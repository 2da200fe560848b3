use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration as people write it: `90`, `90s`, `15m`, `2h`, `7d`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// The text is not a duration.
#[derive(Debug)]
pub struct NotADuration;

impl fmt::Display for NotADuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number and ms, s, m, h or d")
    }
}

impl FromStr for Seconds {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| NotADuration)?;
        let millis = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(NotADuration),
        };
        // The limit of a century keeps every sum with a date in range.
        number
            .checked_mul(millis)
            .filter(|millis| *millis <= 3_155_760_000_000)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or(NotADuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Seconds>().ok().map(|s| s.0.as_millis());
        assert_eq!(read("90"), Some(90_000));
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("20m"), Some(1_200_000));
        assert_eq!(read("2h"), Some(7_200_000));
        assert_eq!(read("7d"), Some(604_800_000));
        for nonsense in ["", "m", "-1s", "1.5s", "1w", "99999999999999999999h", "9999999999h"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
