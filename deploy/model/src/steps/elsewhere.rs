//! Somebody acts at the gateway itself, as in its dashboard. payment-svc learns of it by a webhook, or not at all.

use std::convert::Infallible;

use payment_svc::commands::{self, Entered};
use payment_svc::domain::{Call, State};
use payment_svc::gateway::{GivenBack, IntentState};
use shared_events::GatewayOperation;

use super::Steps;
use crate::play::{ELSEWHERE, Play};
use crate::world::World;

const SOMEBODY: &str = "somebody at the gateway";
const PAYMENT: &str = "payment-svc";
const HEARS: &str = "hears of what somebody did at the gateway:";

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
    let before = &world.payment.payment;
    if world.unheard_refund().is_some() {
        let (mut payment, mut next) = (before.clone(), world.clone());
        let amount = play.staff_refund().amount();
        let given_back = GivenBack { id: ELSEWHERE.to_owned(), ours: None, amount, failed: None };
        let entered = commands::enter_found(&mut payment, &[given_back], |payment, step| {
            next.follow(payment.clone(), step);
            Ok::<_, Infallible>(())
        });
        if matches!(entered, Ok(Entered::Something)) {
            steps.may(PAYMENT, HEARS, "a refund", next);
        }
    }
    if !world.by_hand.is_empty() && before.state == State::Authorized && world.payment.call.is_none() {
        let (of, found) = match world.bank.captured {
            0 => ("a cancellation", IntentState::Cancelled { let_go: true }),
            _ => ("a capture", IntentState::Captured),
        };
        let mut payment = before.clone();
        if let Some(Ok(step)) = commands::found(&mut payment, before, found) {
            let mut next = world.clone();
            next.follow(payment, step);
            steps.may(PAYMENT, HEARS, of, next);
        }
    }
}
