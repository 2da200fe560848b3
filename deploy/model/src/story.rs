//! A way through the dance, told step by step, and everything that can become of it.

use std::collections::BTreeSet;

use shared_events::{Event, Topic};

use crate::play::Play;
use crate::search::{Until, explore_from};
use crate::steps;
use crate::world::{Service, World};

/// Where a story has come to.
#[derive(Clone, Debug)]
pub struct Story {
    play: Play,
    world: World,
}

impl Story {
    /// The order was placed, and nobody has heard of it.
    pub fn of(play: Play) -> Self {
        Self { play, world: play.start() }
    }

    /// These steps are taken, one after the other, in the words of the explorer.
    ///
    /// # Panics
    /// When one of them can't happen here; says what can.
    #[must_use]
    pub fn then<'a>(self, told: impl IntoIterator<Item = &'a str>) -> Self {
        let told: Vec<&str> = told.into_iter().collect();
        Self { world: steps::taken(self.world, &self.play, &told), ..self }
    }

    /// The service is sent an event once more, counted from 0 on its topic, past its inbox.
    #[must_use]
    pub fn sent_again(&self, service: &str, topic: Topic, at: usize) -> Self {
        let service = Service::ALL.into_iter().find(|one| one.name() == service).unwrap();
        let mut story = self.clone();
        steps::again(&mut story.world, &Play { forgetful: true, ..self.play }, service, topic, at);
        story
    }

    /// Whether this can happen next.
    pub fn can(&self, what: &str) -> bool {
        steps::from(&self.world, &self.play).iter().any(|step| step.label.to_string() == what)
    }

    /// The types of what was said on a topic, without `payment.` and `.v1`.
    pub fn said(&self, topic: Topic) -> Vec<&'static str> {
        self.world.said(topic).map(brief).collect()
    }

    /// How the order can end from here, whatever happens; every rule holds on the way, and none of `never` is said.
    ///
    /// # Panics
    /// When a rule is broken or one of `never` is said; tells a shortest way there from here.
    #[expect(clippy::panic, reason = "it is an assertion")]
    pub fn ends(&self, never: &[&str]) -> BTreeSet<String> {
        let said_before = |what: &&&str| self.world.everything_said().any(|event| brief(event) == **what);
        assert_eq!(never.iter().find(said_before), None, "it was said before");
        let forbidden = |world: &World| {
            let said = never.iter().find(|what| world.everything_said().any(|event| brief(event) == **what));
            said.map(|what| format!("{what} was said"))
        };
        let found = explore_from(&self.play, &self.world, Until::Exhausted, &forbidden);
        if let Some(broken) = found.broken.first() {
            panic!("{broken}");
        }
        found.ends.into_keys().collect()
    }
}

/// `payment.voided.v1` as `voided`.
fn brief(event: &Event) -> &'static str {
    let name = event.type_name();
    let name = name.split_once('.').map_or(name, |(_, name)| name);
    name.rsplit_once(".v").map_or(name, |(name, _)| name)
}
