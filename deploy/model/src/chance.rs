//! Random walks through the lives of several orders that compete for the same stock.

use std::collections::BTreeMap;
use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::play::{Play, stocked};
use crate::rules;
use crate::steps::{self, Label, Step};
use crate::world::{Service, World};

/// How much likelier a step that happens by itself is than one of a person or a timer.
const BY_ITSELF: u32 = 50;
/// One of this many steps is a redelivered event.
const ONCE_MORE: u32 = 6;
/// The stock of each SKU: too little for all orders.
const ON_HAND: i64 = 2;
/// The most steps of a walk.
const LONGEST: usize = 5_000;

/// The result of a walk that broke no rule.
#[derive(Debug, Default)]
pub struct Walked {
    /// The final states of the orders, with their numbers.
    pub ends: BTreeMap<String, usize>,
    pub steps: usize,
    /// The number of redelivered events.
    pub again: usize,
}

/// A rule that was broken, and the walk to it.
#[derive(Debug)]
pub struct Violation {
    /// The seed that repeats the walk.
    pub seed: u64,
    pub rule: String,
    /// The steps so far, each with its order.
    pub way: Vec<(usize, Label)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}, after {} steps:", self.seed, self.rule, self.way.len())?;
        self.way.iter().try_for_each(|(order, label)| write!(f, "\n  order {order}: {label}"))
    }
}

/// Lets `orders` orders run to their ends. `seed` decides the interleaving, and which events are delivered twice. Fails
/// with the first rule that is broken, and the walk to it.
pub fn walk(play: &Play, orders: usize, seed: u64) -> Result<Walked, Box<Violation>> {
    let mut shop = Shop::open(play, orders, seed);
    while let Some((order, step)) = shop.anything()? {
        shop.way.push((order, step.label));
        shop.put(order, step.world);
        shop.checked(rules::always(&shop.orders[order]).map(str::to_owned))?;
        shop.checked(rules::shelf(&shop.orders[0].shelf, &shop.orders).map(str::to_owned))?;
        let endless = shop.way.len() > LONGEST;
        shop.checked(endless.then(|| format!("no end after {LONGEST} steps")))?;
    }
    let mut walked = Walked { steps: shop.way.len(), again: shop.again, ..Walked::default() };
    for order in &shop.orders {
        shop.checked(rules::at_rest(order, &[]))?;
        *walked.ends.entry(rules::end_of(order)).or_default() += 1;
    }
    Ok(walked)
}

/// Chooses one of these steps, preferring those that happen by themselves.
pub fn choose(chance: &mut StdRng, mut next: Vec<Step>) -> Step {
    let indices: Vec<usize> = (0..next.len()).collect();
    let weight = |index: &usize| if next[*index].by_itself { BY_ITSELF } else { 1 };
    let chosen = *indices.choose_weighted(chance, weight).unwrap();
    next.swap_remove(chosen)
}

struct Shop<'a> {
    play: &'a Play,
    seed: u64,
    chance: StdRng,
    orders: Vec<World>,
    way: Vec<(usize, Label)>,
    again: usize,
}

impl<'a> Shop<'a> {
    fn open(play: &'a Play, orders: usize, seed: u64) -> Self {
        let orders = (1..).map(|number| play.order(number, stocked(ON_HAND))).take(orders).collect();
        Self { play, seed, chance: StdRng::seed_from_u64(seed), orders, way: vec![], again: 0 }
    }

    /// A possible step of one of the orders; none when all have ended.
    fn anything(&mut self) -> Result<Option<(usize, Step)>, Box<Violation>> {
        if self.chance.random_ratio(1, ONCE_MORE) {
            self.once_more();
        }
        let first = self.chance.random_range(0..self.orders.len());
        let mut turns = (0..self.orders.len()).map(|turn| (first + turn) % self.orders.len());
        let found = turns.find_map(|order| {
            let next = steps::from(&self.orders[order], self.play);
            (!next.is_empty()).then_some((order, next))
        });
        let Some((order, next)) = found else { return Ok(None) };
        self.checked(rules::at_rest(&self.orders[order], &next))?;
        Ok(Some((order, choose(&mut self.chance, next))))
    }

    /// Redelivers an event of some order that some service has handled.
    fn once_more(&mut self) {
        let order = self.chance.random_range(0..self.orders.len());
        let service = *Service::ALL.choose(&mut self.chance).unwrap();
        let topic = *service.hears().choose(&mut self.chance).unwrap();
        let heard = self.orders[order].heard(service, topic);
        if heard > 0 {
            let at = self.chance.random_range(0..heard);
            let mut world = self.orders[order].clone();
            steps::again(&mut world, self.play, service, topic, at);
            self.put(order, world);
            self.again += 1;
        }
    }

    /// Replaces an order's world; all orders share one shelf.
    fn put(&mut self, order: usize, world: World) {
        for other in &mut self.orders {
            other.shelf = world.shelf.clone();
        }
        self.orders[order] = world;
    }

    fn checked(&self, broken: Option<String>) -> Result<(), Box<Violation>> {
        match broken {
            None => Ok(()),
            Some(rule) => Err(Box::new(Violation { seed: self.seed, rule, way: self.way.clone() })),
        }
    }
}
