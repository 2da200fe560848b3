//! A given way through the choreography, step by step, and everything that can follow it.

use std::collections::BTreeSet;

use shared_events::{Event, Topic};

use crate::play::Play;
use crate::search::{Until, explore_from};
use crate::steps;
use crate::world::{Service, World};

/// The state that a story has reached.
#[derive(Clone, Debug)]
pub struct Story {
    play: Play,
    world: World,
}

impl Story {
    /// The order was just placed, and no service has read its event.
    pub fn of(play: Play) -> Self {
        Self { play, world: play.start() }
    }

    /// Takes these steps, given by their labels, in order. Panics if one is not possible, with those that are.
    #[must_use]
    pub fn then<'a>(self, told: impl IntoIterator<Item = &'a str>) -> Self {
        let told: Vec<&str> = told.into_iter().collect();
        Self { world: steps::taken(self.world, &self.play, &told), ..self }
    }

    /// Delivers an event to the service again, past its inbox. `at` counts the topic's events from 0.
    #[must_use]
    pub fn sent_again(&self, service: &str, topic: Topic, at: usize) -> Self {
        let service = Service::ALL.into_iter().find(|one| one.name() == service).unwrap();
        let mut story = self.clone();
        steps::again(&mut story.world, &Play { forgetful: true, ..self.play }, service, topic, at);
        story
    }

    /// Whether this step is possible next.
    pub fn can(&self, what: &str) -> bool {
        steps::from(&self.world, &self.play).iter().any(|step| step.label.to_string() == what)
    }

    /// The types of the events on a topic, as [`brief`] shortens them.
    pub fn said(&self, topic: Topic) -> Vec<&'static str> {
        self.world.said(topic).map(brief).collect()
    }

    /// All ways in which the order can end from here. Panics, with a shortest way there, if a rule is broken on the way
    /// or an event of `never` is published.
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

/// `voided` for `payment.voided.v1`.
fn brief(event: &Event) -> &'static str {
    let name = event.type_name();
    let name = name.split_once('.').map_or(name, |(_, name)| name);
    name.rsplit_once(".v").map_or(name, |(name, _)| name)
}
