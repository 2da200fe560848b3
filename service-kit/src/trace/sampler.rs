//! Which traces are exported.

use std::str::FromStr;

/// Which traces are exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    follows_parent: bool,
    share: Share,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    /// Said by the sampler's name.
    Fixed(f64),
    /// Said by the argument.
    Asked,
}

impl Sampler {
    pub(super) const fn with_share(self, asked: Share) -> Self {
        match self.share {
            Share::Fixed(_) => self,
            Share::Asked => Self { share: asked, ..self },
        }
    }

    /// Whether a new span of this trace is exported. Of traces that begin here, it is the same share in all programs, since
    /// the trace's id decides.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the share of all ids: to the bit it does not matter"
    )]
    pub fn samples(&self, parent: Option<bool>, trace: u128) -> bool {
        let Share::Fixed(share) = self.share else { return true };
        match parent {
            Some(is_sampled) if self.follows_parent => is_sampled,
            _ => ((trace as u64) >> 1) < (share * (1_u64 << 63) as f64) as u64,
        }
    }
}

impl FromStr for Sampler {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (follows_parent, name) = match text.strip_prefix("parentbased_") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let share = match name {
            "always_on" => Share::Fixed(1.0),
            "always_off" => Share::Fixed(0.0),
            "traceidratio" => Share::Asked,
            _ => return Err("no such sampler"),
        };
        Ok(Self { follows_parent, share })
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share: f64 = text.parse().map_err(|_| "no number")?;
        if (0.0..=1.0).contains(&share) { Ok(Self::Fixed(share)) } else { Err("not from 0 to 1") }
    }
}
