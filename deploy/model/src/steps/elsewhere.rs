//! Somebody acts at the gateway itself, as in its dashboard. payment-svc learns of it by a webhook, or not at all.

use payment_svc::domain::{Call, Payment, Refused, State, Transition};
use shared_events::GatewayOperation;

use super::Steps;
use crate::play::{ELSEWHERE, Play};
use crate::world::World;

const SOMEBODY: &str = "somebody at the gateway";

/// The steps of that person.
pub fn at_the_gateway(world: &World, play: &Play, steps: &mut Steps) {
    let amount = play.staff_refund().amount();
    if play.elsewhere && !world.bank.did(ELSEWHERE) && world.bank.net() >= amount {
        let mut next = world.clone();
        next.given_back += amount;
        next.bank.change(|bank| bank.act(GatewayOperation::Refund, amount, ELSEWHERE.to_owned()));
        steps.may(SOMEBODY, "refunds a line", "", next);
    }
    if play.by_hand && world.bank.authorised > 0 && world.by_hand.is_empty() {
        for (does, call) in [("captures", Call::Capture), ("cancels", Call::Void)] {
            let (key, amount) = (world.payment.payment.key(call), world.bank.authorised);
            let mut next = world.clone();
            next.by_hand.push(key.clone());
            next.bank.change(|bank| bank.act(call.operation(), amount, key));
            steps.may(SOMEBODY, does, "", next);
        }
    }
}

/// The webhook arrives, and payment-svc looks the payment up.
pub fn heard(world: &World, play: &Play, steps: &mut Steps) {
    let mut hears = |of, decide: &dyn Fn(&mut Payment) -> Result<Transition, Refused>| {
        let mut payment = world.payment.payment.clone();
        if let Ok(step) = decide(&mut payment) {
            let mut next = world.clone();
            next.follow(payment, step);
            steps.may("payment-svc", "hears of what somebody did at the gateway:", of, next);
        }
    };
    if world.unheard_refund().is_some() {
        hears("a refund", &|payment| {
            let booked = payment.given_back_elsewhere(ELSEWHERE, play.staff_refund())?;
            Ok(booked.then(payment.next_refund()))
        });
    }
    if !world.by_hand.is_empty() && world.payment.payment.state == State::Authorized && world.payment.call.is_none() {
        match world.bank.captured {
            0 => hears("a cancellation", &Payment::cancelled_elsewhere),
            _ => hears("a capture", &Payment::captured_elsewhere),
        }
    }
}
