//! A breadth-first search through everything that can happen. The first way to a broken rule is a shortest one.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;

use crate::play::Play;
use crate::rules;
use crate::shared::fingerprint;
use crate::steps::{self, Label};
use crate::world::World;

/// The result of an exploration.
#[derive(Debug, Default)]
pub struct Explored {
    /// The number of different states.
    pub states: usize,
    /// The number of steps between states.
    pub steps: usize,
    /// The distance of the farthest state, in steps.
    pub depth: usize,
    /// The final states of the order, with the number of worlds in which it ends so.
    pub ends: BTreeMap<String, usize>,
    /// The broken rules, each with a shortest way to it.
    pub broken: Vec<Broken>,
}

/// A broken rule and the way to it.
#[derive(Debug)]
pub struct Broken {
    pub rule: String,
    /// The steps to it.
    pub way: Vec<Label>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after {} steps:", self.rule, self.way.len())?;
        self.way.iter().enumerate().try_for_each(|(n, label)| write!(f, "\n  {:>2}. {label}", n + 1))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When every state was visited.
    Exhausted,
    /// When a rule is broken that forbids harm. Illegal transitions don't count here, since a sabotage may itself
    /// cause one.
    Harm,
}

/// How a state was first reached: from which state, and by which of the steps that are possible there.
struct Came {
    from: u32,
    by: u16,
    depth: u32,
}

/// Explores `play`. It stores 64-bit fingerprints of visited states, and whole states only at the edge.
pub fn explore(play: &Play, until: Until) -> Explored {
    explore_from(play, &play.start(), until, &|_| None)
}

/// Explores what can become of `start`, with one rule more.
pub fn explore_from(play: &Play, start: &World, until: Until, further: &impl Fn(&World) -> Option<String>) -> Explored {
    let mut seen = HashSet::from([fingerprint(start)]);
    let mut came = vec![Came { from: 0, by: 0, depth: 0 }];
    let mut edge = VecDeque::from([(0_u32, start.clone())]);
    let mut found = Explored::default();
    while let Some((at, world)) = edge.pop_front() {
        let next = steps::from(&world, play);
        found.steps += next.len();
        let depth = came[at as usize].depth;
        found.depth = found.depth.max(depth as usize);
        if next.is_empty() {
            *found.ends.entry(rules::end_of(&world)).or_default() += 1;
        }
        if let Some(rule) = rules::broken(&world, &next).or_else(|| further(&world)) {
            found.note(rule, || way(play, start, &came, at));
        }
        for (by, step) in (0_u16..).zip(next) {
            let illegal = || rules::illegal(&world, &step.world);
            if let Some(rule) = (until == Until::Exhausted).then(illegal).flatten() {
                found.note(rule, || [way(play, start, &came, at), vec![step.label]].concat());
            }
            if seen.insert(fingerprint(&step.world)) {
                edge.push_back((u32::try_from(came.len()).unwrap(), step.world));
                came.push(Came { from: at, by, depth: depth + 1 });
            }
        }
        if until == Until::Harm && !found.broken.is_empty() {
            break;
        }
    }
    found.states = came.len();
    found
}

impl Explored {
    /// Keeps the first way to each broken rule; no other is shorter.
    fn note(&mut self, rule: String, way: impl FnOnce() -> Vec<Label>) {
        if self.broken.iter().all(|known| known.rule != rule) {
            self.broken.push(Broken { rule, way: way() });
        }
    }
}

/// The steps from the start to a state, found by repeating them.
fn way(play: &Play, start: &World, came: &[Came], to: u32) -> Vec<Label> {
    let mut choices = Vec::new();
    let mut at = to;
    while at != 0 {
        choices.push(came[at as usize].by);
        at = came[at as usize].from;
    }
    let mut world = start.clone();
    let take = |choice| {
        let step = steps::from(&world, play).swap_remove(usize::from(choice));
        world = step.world;
        step.label
    };
    choices.into_iter().rev().map(take).collect()
}
