//! The worker calls the gateway, and the answer is applied as `commands::settle` does: at once, or later.

use payment_svc::commands;
use payment_svc::domain::{Call, GatewayReply, RefundState, State};
use payment_svc::gateway::IntentState;
use shared_events::RefundId;

use super::Steps;
use crate::play::{BY_STAFF, ELSEWHERE, Play, UNDONE};
use crate::sabotage::Sabotage;
use crate::seam;
use crate::world::{Answered, World};

const WHO: &str = "the gateway";

/// The retry timer of a temporary decline fires; it is certain to.
pub fn retries(world: &World, _: &Play, steps: &mut Steps) {
    let mut payment = world.payment.payment.clone();
    if let Ok(step) = payment.retry() {
        let mut next = world.clone();
        next.follow(payment, step);
        steps.happens(WHO, "is asked again", "", next);
    }
}

/// The worker looks up what the customer did, while payment-svc waits for them. It is certain to do so.
pub fn looks_up(world: &World, play: &Play, steps: &mut Steps) {
    if play.sabotage == Some(Sabotage::LookedUpWhileItWaits) {
        return;
    }
    let before = &world.payment.payment;
    let mut payment = before.clone();
    let (does, found) = if world.bank.authorised > 0 {
        ("is looked up and the customer had acted", IntentState::Authorised)
    } else {
        ("is looked up and waits for the customer still", IntentState::ActionRequired { url: None })
    };
    let decided = commands::customer_found(&mut payment, before, found, world.clock());
    if let (State::ActionRequired, Some(Ok(step))) = (before.state, decided) {
        let mut next = world.clone();
        next.follow(payment, step);
        steps.happens(WHO, does, "", next);
    }
}

/// The possible outcomes of the unfinished call.
pub fn calls(world: &World, play: &Play, steps: &mut Steps) {
    for (n, on_its_way) in world.on_their_way.iter().enumerate() {
        let mut next = world.clone();
        next.on_their_way.remove(n);
        settle(&mut next, play, on_its_way.clone());
        steps.happens(WHO, "lets know what it did", "", next);
    }
    let Some(call) = world.payment.call else { return };
    let payment = &world.payment.payment;
    if world.on_their_way.iter().any(|on_its_way| on_its_way.key == payment.key(call)) {
        return;
    }
    let done = world.bank.did(&payment.key(call));
    let mut comes = |does, acts: Option<Call>, answer| {
        let mut next = world.clone();
        if let Some(call) = acts {
            act(&mut next, call);
        }
        if matches!(answer, GatewayReply::ActionRequired { .. }) {
            next.bank.change(|bank| bank.asks_customer = true);
        }
        let answered = Answered { call, key: world.payment.payment.key(call), answer };
        if play.in_flight {
            next.on_their_way.push(answered);
        } else {
            settle(&mut next, play, answered);
        }
        steps.happens(WHO, does, "", next);
    };
    let no = |code: &str| GatewayReply::No { code: code.to_owned() };
    let not_now = || GatewayReply::NotNow { code: "processing_error".to_owned() };
    // An intent is looked up before it is cancelled. A customer who has acted has bought, and the gateway is asked
    // nothing.
    let acted = call == Call::Void
        && payment.state == State::Closing
        && !payment.void_requested
        && world.bank.authorised > 0
        && play.sabotage != Some(Sabotage::LookedUpBeforeItIsEnded);
    let by_hand = |call: Call| world.by_hand.contains(&payment.key(call));
    match call {
        // Somebody has done something at the gateway that makes the call impossible; a look-up finds it.
        Call::Capture if by_hand(Call::Void) => comes("has been cancelled by hand", None, no("canceled")),
        Call::Void if by_hand(Call::Capture) => {
            comes("has been captured by hand", None, GatewayReply::CapturedElsewhere { refund: UNDONE });
        }
        Call::Refund(id) if !done && amount_of(world, id) > world.bank.net() => {
            let elsewhere = world.unheard_refund().map(|_| (ELSEWHERE.to_owned(), play.staff_refund()));
            let (code, elsewhere) = ("charge_already_refunded".to_owned(), elsewhere.into_iter().collect());
            comes("refuses to refund more than it has", None, GatewayReply::Overtaken { code, elsewhere });
        }
        Call::Authorise => {
            comes("authorises", Some(call), GatewayReply::Done);
            if !done {
                comes("declines for good", None, no("generic_decline"));
            }
            if !done && play.retries {
                comes("declines for now", None, not_now());
            }
            if !done && play.three_ds {
                comes("asks for 3-D Secure", None, GatewayReply::ActionRequired { url: None });
            }
            if !done && !payment.may_authorise(world.clock()) {
                comes("is not asked to authorise", None, GatewayReply::NotAsked);
            }
            if done && !payment.may_authorise(world.clock()) {
                comes("lets go of what it had authorised", Some(Call::Void), GatewayReply::LetGo);
            }
        }
        Call::Capture => {
            comes("captures", Some(call), GatewayReply::Done);
            if !done {
                comes("fails the capture", None, no("charge_expired_for_capture"));
            }
        }
        Call::Void => {
            // Even where no payment is expected any more, something may be authorised that must be released.
            let held = world.bank.authorised > 0 || done;
            if acted {
                comes("is asked once more and the customer had acted", None, GatewayReply::AuthorisedAfterAll);
            } else if payment.state == State::Closing && held {
                comes("voids what nobody had heard of", Some(call), GatewayReply::LetGo);
            } else {
                comes("voids", Some(call), GatewayReply::Done);
            }
        }
        Call::Refund(_) => {
            comes("refunds", Some(call), GatewayReply::Done);
            let refused = payment.refunds.iter().any(|refund| refund.state == RefundState::Failed);
            if play.refusals && !done && !refused {
                comes("refuses the refund", None, no("expired_or_canceled_card"));
            }
        }
    }
    if play.silent && !payment.unanswered {
        if !done {
            comes("does not answer and did nothing", None, GatewayReply::Nothing);
        }
        if !acted {
            comes("does what it was asked and does not answer", Some(call), GatewayReply::Nothing);
        }
    }
}

fn amount_of(world: &World, id: RefundId) -> i64 {
    let asked = world.payment.payment.refunds.iter().find(|refund| refund.id == id);
    asked.map_or(0, |refund| refund.amount.amount())
}

/// The bank does what it was asked.
fn act(world: &mut World, call: Call) {
    let payment = &world.payment.payment;
    let amount = match call {
        Call::Authorise | Call::Capture | Call::Void => payment.charge.as_ref().map(|charge| charge.amount),
        Call::Refund(id) => payment.refunds.iter().find(|refund| refund.id == id).map(|refund| refund.amount),
    };
    let (key, amount) = (payment.key(call), amount.map_or(0, shared_events::Money::amount));
    world.bank.change(|bank| bank.act(call.operation(), amount, key));
}

/// Applies the answer, as `commands::settle` does, unless the call is finished.
fn settle(world: &mut World, play: &Play, Answered { call, key, answer }: Answered) {
    let mut payment = world.payment.payment.clone();
    if world.payment.call.is_none_or(|unfinished| payment.key(unfinished) != key) {
        return;
    }
    if call == Call::Refund(BY_STAFF) && matches!(answer, GatewayReply::No { .. }) {
        // Only staff wanted this refund, and they see the refusal.
        world.given_back -= play.staff_refund().amount();
    }
    let Ok((step, outcome)) = seam::answered(&mut payment, play.sabotage, call, answer) else {
        world.fault = Some("a payment doesn't wait for the answer to its call");
        return;
    };
    if outcome.is_some() {
        world.payment.change(|rows| rows.call = None);
    }
    world.follow(payment, step);
}
