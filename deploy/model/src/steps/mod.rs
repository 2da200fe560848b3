//! The possible next steps: events are read, the gateway answers, people act, timers fire.

mod elsewhere;
mod gateway;
mod heard;
mod people;
mod timers;

pub use heard::again;

use std::fmt;

use crate::play::Play;
use crate::world::World;

/// A step in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Who acts.
    pub who: &'static str,
    /// What they do.
    pub does: &'static str,
    /// The type of the event, or what it is done to; may be empty.
    pub of: &'static str,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, does, of } = self;
        write!(f, "{who} {does}")?;
        if of.is_empty() { Ok(()) } else { write!(f, " {of}") }
    }
}

/// A step and the world that it leads to.
#[derive(Debug)]
pub struct Step {
    pub label: Label,
    /// Whether it happens by itself, without a customer, staff or a timer.
    pub by_itself: bool,
    pub world: World,
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn happens(&mut self, who: &'static str, does: &'static str, of: &'static str, world: World) {
        self.0.push(Step { label: Label { who, does, of }, by_itself: true, world });
    }

    fn may(&mut self, who: &'static str, does: &'static str, of: &'static str, world: World) {
        self.0.push(Step { label: Label { who, does, of }, by_itself: false, world });
    }
}

/// The world after these steps, which are given by their labels.
#[expect(clippy::panic, reason = "a way that can't be gone is a test that fails")]
pub fn taken<'a>(mut world: World, play: &Play, told: impl IntoIterator<Item = &'a &'a str>) -> World {
    for what in told {
        let next = from(&world, play);
        let can: Vec<_> = next.iter().map(|step| step.label.to_string()).collect();
        match next.into_iter().find(|step| step.label.to_string() == **what) {
            Some(step) => world = step.world,
            None => panic!("{what:?} can't happen here; this can: {can:#?}"),
        }
    }
    world
}

pub fn from(world: &World, play: &Play) -> Vec<Step> {
    let mut steps = Steps::default();
    heard::facts(world, play, &mut steps);
    if play.forgetful {
        heard::once_more(world, play, &mut steps);
    }
    gateway::calls(world, play, &mut steps);
    gateway::retries(world, play, &mut steps);
    gateway::looks_up(world, play, &mut steps);
    elsewhere::at_the_gateway(world, play, &mut steps);
    elsewhere::heard(world, play, &mut steps);
    people::warehouse(world, play, &mut steps);
    people::customer(world, play, &mut steps);
    people::staff(world, play, &mut steps);
    people::operator(world, play, &mut steps);
    timers::fire(world, play, &mut steps);
    steps.0
}
