//! Random walks through the state machine: whatever is heard, in whatever order, and whatever the gateway answers.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use shared_events::{
    Currency, EventId, Money, OrderId, PaymentEvent, PaymentId, Quantity, RefundId, Rejection, RestockCause,
    ShipmentId, ShipmentLost, StockLine, StockReserved, StockRestocked,
};
use uuid::Uuid;

use super::{
    CAPTURED_IN_PART, Call, Charge, ChargeLine, Elsewhere, GatewayReply, Payment, Refund, RefundState, Refused, State,
    Transition, refund_made_elsewhere,
};

const TOTAL: i64 = 3000;
const PATIENCE: Duration = Duration::from_secs(14 * 60);
const ORDER: OrderId = OrderId(Uuid::from_u128(2));

#[derive(Clone, Copy, Debug)]
enum Happens {
    Placed,
    Reserved,
    Confirmed,
    Expired,
    Short,
    Released(u8),
    Restocked(u8, u8),
    Returned(u8, u8),
    Lost(u8, u8),
    Does,
    Refuses,
    IsSilent,
    RefusesForNow,
    AsksForAction,
    Retried,
    CustomerActs,
    CustomerActsUnheard,
    IsLookedUp,
    CustomerFails,
    StaffRefund(u8, u8),
    /// Somebody refunds at the gateway itself, or a dispute takes money, unheard.
    TakenElsewhere(u8),
    /// Somebody captures at the gateway itself so many of the three parts of what is authorised, unheard.
    CapturedByHand(u8),
    /// That is heard.
    IsToldOfCapture,
    /// Of what went back, this comes back: a dispute is won, a bank returns a refund. Unheard too.
    ComesBack(u8),
    /// Staff pay past the gateway.
    SettlesOutside(u8),
    /// The gateway is asked for all that went back.
    IsToldOfMoneyBack,
}

fn anything() -> impl Strategy<Value = Happens> {
    let lines = (0..4_u8, 1..=3_u8);
    prop_oneof![
        2 => Just(Happens::Placed),
        2 => Just(Happens::Reserved),
        2 => Just(Happens::Confirmed),
        1 => Just(Happens::Expired),
        1 => Just(Happens::Short),
        1 => (0..4_u8).prop_map(Happens::Released),
        1 => lines.clone().prop_map(|(cause, pieces)| Happens::Restocked(cause, pieces)),
        1 => lines.clone().prop_map(|(cause, pieces)| Happens::Returned(cause, pieces)),
        1 => lines.prop_map(|(cause, pieces)| Happens::Lost(cause, pieces)),
        5 => Just(Happens::Does),
        1 => Just(Happens::Refuses),
        1 => Just(Happens::IsSilent),
        1 => Just(Happens::RefusesForNow),
        1 => Just(Happens::AsksForAction),
        1 => Just(Happens::Retried),
        1 => Just(Happens::CustomerActs),
        1 => Just(Happens::CustomerActsUnheard),
        1 => Just(Happens::IsLookedUp),
        1 => Just(Happens::CustomerFails),
        1 => (0..4_u8, 1..=3_u8).prop_map(|(cause, pieces)| Happens::StaffRefund(cause, pieces)),
        2 => at_the_gateway(),
        1 => (0..2_u8).prop_map(Happens::SettlesOutside),
        1 => (1..=3_u8).prop_map(Happens::CapturedByHand),
        1 => Just(Happens::IsToldOfCapture),
    ]
}

fn at_the_gateway() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (1..=3_u8).prop_map(Happens::TakenElsewhere),
        (0..8_u8).prop_map(Happens::ComesBack),
        Just(Happens::IsToldOfMoneyBack),
    ]
}

/// What happens until an order is paid: a walk begins somewhere in it, so that enough of them come to refunds.
const PAID: [Happens; 5] = [Happens::Placed, Happens::Reserved, Happens::Does, Happens::Confirmed, Happens::Does];

fn caused(number: u8) -> RefundId {
    RefundId::caused_by(EventId(Uuid::from_u128(number.into())))
}

/// The event after which nothing is said of the goods: all of the money is owed then.
const LAST_WORD: u8 = 9;
/// What has let go of something that somebody had captured.
const BY_HAND: u8 = 8;

/// Money that went back, as the gateway has it.
struct GivenBack {
    name: String,
    ours: Option<RefundId>,
    amount: i64,
    failed: bool,
}

/// A payment, its unfinished call, and what the bank really holds.
struct Walk {
    payment: Payment,
    unfinished: Option<Call>,
    authorised: i64,
    captured: i64,
    by_hand: bool,
    outside: i64,
    given_back: Vec<GivenBack>,
    /// Keys under which the gateway has said no, which it repeats.
    refused_keys: Vec<String>,
    said: Vec<PaymentEvent>,
}

impl Walk {
    fn new() -> Self {
        let payment = Payment::new(PaymentId(Uuid::from_u128(1)), ORDER);
        let (given_back, refused_keys, said, by_hand) = (vec![], vec![], vec![], false);
        Self {
            payment,
            unfinished: None,
            authorised: 0,
            captured: 0,
            by_hand,
            outside: 0,
            given_back,
            refused_keys,
            said,
        }
    }

    fn refunded(&self) -> i64 {
        self.given_back.iter().filter(|given| !given.failed).map(|given| given.amount).sum()
    }

    fn net(&self) -> i64 {
        self.captured - self.refunded()
    }

    /// What the payment shows to have gone back beyond what was captured.
    fn beyond(&self) -> i64 {
        self.payment.refunds.iter().filter_map(Refund::beyond_captured).map(Money::amount).sum()
    }

    /// Staff pay past the gateway what has failed, once all that went back is known.
    fn settled_outside(&mut self, number: usize) {
        self.told_of_money_back();
        let failed = |refund: &&Refund| refund.state == RefundState::Failed && !refund.key().starts_with("re_");
        let Some((id, amount)) =
            self.payment.refunds.iter().filter(failed).nth(number).map(|refund| (refund.id, refund.amount.amount()))
        else {
            return;
        };
        if let Ok(step) = self.payment.settle_outside(id) {
            self.outside += amount;
            self.follow(step);
            let all_is_known = self.unknown_here().is_empty();
            assert!(!all_is_known || self.outside <= self.net(), "the customer is paid twice");
        }
    }

    fn goes_on(&mut self, happens: Happens) {
        let before = self.payment.clone();
        let cause = caused;
        let step = match (happens, self.unfinished) {
            (Happens::Placed, _) => self.payment.placed(charge()),
            (Happens::Reserved, _) => self.payment.reserved(&held(), DateTime::UNIX_EPOCH, PATIENCE),
            (Happens::Confirmed, _) => self.payment.confirmed(),
            (Happens::Expired, _) => self.payment.expired(),
            (Happens::Short, _) => self.payment.rejected(&Rejection::Shortages { lines: vec![] }),
            (Happens::Released(number), _) => self.payment.released(cause(number)),
            (Happens::Restocked(number, pieces), _) => {
                self.payment.restocked(cause(number), &back(RestockCause::Cancelled, pieces))
            }
            (Happens::Returned(number, pieces), _) => {
                self.payment.restocked(cause(number), &back(RestockCause::Returned, pieces))
            }
            (Happens::Lost(number, pieces), _) => self.payment.lost(cause(number), &lost(pieces)),
            (Happens::Does, Some(call)) => self.does(call),
            (Happens::Refuses, Some(call)) if call != Call::Void && !(call == Call::Capture && self.by_hand) => {
                self.unfinished = None;
                self.payment.answered(call, GatewayReply::No { code: "no".to_owned() })
            }
            (Happens::IsSilent, Some(call)) => self.payment.answered(call, GatewayReply::Nothing),
            (Happens::RefusesForNow, Some(Call::Authorise)) => {
                self.unfinished = None;
                self.payment.answered(Call::Authorise, GatewayReply::NotNow { code: "later".to_owned() })
            }
            (Happens::AsksForAction, Some(Call::Authorise)) => {
                self.unfinished = None;
                self.payment.answered(Call::Authorise, GatewayReply::ActionRequired { url: None })
            }
            (Happens::Retried, _) => self.payment.retry(),
            (Happens::CustomerActs, _) if self.payment.state == State::ActionRequired => {
                // They may have acted before, unheard.
                self.authorised = TOTAL;
                self.payment.action_done()
            }
            (Happens::CustomerActsUnheard, _) if self.payment.state == State::ActionRequired => {
                self.authorised = TOTAL;
                return;
            }
            (Happens::IsLookedUp, _) if self.authorised == TOTAL => self.payment.action_done(),
            (Happens::IsLookedUp, _) => self.payment.action_timed_out(DateTime::UNIX_EPOCH + PATIENCE),
            (Happens::CapturedByHand(parts), _) => return self.captured_by_hand(i64::from(parts) * 1000),
            (Happens::IsToldOfCapture, _) if self.by_hand && self.captured < TOTAL => {
                self.payment.captured_in_part_elsewhere()
            }
            (Happens::IsToldOfCapture, _) if self.by_hand => self.payment.captured_elsewhere(),
            (Happens::CustomerFails, _) => self.payment.action_failed("failed".to_owned()),
            (Happens::StaffRefund(number, pieces), _) => {
                let by_staff = RefundId(Uuid::from_u128(number.into()));
                self.payment.refund(by_staff, money(i64::from(pieces) * 1000))
            }
            (Happens::TakenElsewhere(pieces), _) => return self.taken_elsewhere(i64::from(pieces) * 700),
            (Happens::ComesBack(number), _) => return self.comes_back(number.into()),
            (Happens::SettlesOutside(number), _) => return self.settled_outside(number.into()),
            (Happens::IsToldOfMoneyBack, _) => return self.told_of_money_back(),
            _ => return,
        };
        match step {
            Ok(step) => self.follow(step),
            Err(Refused::Not { .. } | Refused::MoreThanRemains { .. }) => {
                assert_eq!(self.payment, before, "a refusal changes nothing")
            }
            Err(nonsense) => panic!("{nonsense}"),
        }
        self.holds();
    }

    fn follow(&mut self, Transition { events, call, finishes, .. }: Transition) {
        self.said.extend(events);
        self.unfinished = self.unfinished.filter(|unfinished| finishes != Some(*unfinished));
        if let Some(call) = call {
            assert_eq!(self.unfinished, None, "a second call");
            self.unfinished = Some(call);
        }
    }

    /// Where less than the total is captured, the gateway lets go of the rest.
    fn captured_by_hand(&mut self, amount: i64) {
        if self.authorised == TOTAL
            && matches!(self.payment.state, State::Authorized | State::Capturing | State::Voiding)
        {
            (self.authorised, self.captured, self.by_hand) = (0, amount, true);
        }
    }

    fn taken_elsewhere(&mut self, amount: i64) {
        // A dispute takes what it takes, whatever has gone back before.
        if self.captured == TOTAL && self.given_back.len() < 8 {
            let name = format!("re_{}", self.given_back.len());
            self.given_back.push(GivenBack { name, ours: None, amount, failed: false });
        }
    }

    /// What the last word has caused does not come back: that is for a person.
    fn comes_back(&mut self, number: usize) {
        let lasts = |id: RefundId| !(0..4).any(|n| id == caused(n) || id == RefundId(Uuid::from_u128(n.into())));
        if let Some(given) = self.given_back.get_mut(number).filter(|given| !given.ours.is_some_and(lasts)) {
            given.failed = true;
        }
    }

    /// As `commands::given_back` enters it.
    fn told_of_money_back(&mut self) {
        if self.payment.state != State::Captured {
            return;
        }
        let id = |given: &GivenBack| given.ours.unwrap_or_else(|| refund_made_elsewhere(&given.name));
        let failed: Vec<_> = self.given_back.iter().filter(|given| given.failed).map(id).collect();
        for id in failed {
            if let Ok(step) = self.payment.refund_came_back(id, "failed".to_owned()) {
                self.follow(step);
            }
        }
        for (name, amount) in self.unknown_here() {
            match self.payment.given_back_elsewhere(&name, amount) {
                Ok(step) => self.follow(step),
                Err(Refused::Not { .. }) => break,
                Err(nonsense) => panic!("{nonsense}"),
            }
        }
        let next = self.payment.next_refund();
        self.follow(next);
        self.holds();
    }

    fn unknown_here(&self) -> Vec<Elsewhere> {
        let is_known = |name: &str| self.payment.refunds.iter().any(|refund| refund.id == refund_made_elsewhere(name));
        let unknown = |given: &&GivenBack| given.ours.is_none() && !given.failed && !is_known(&given.name);
        self.given_back.iter().filter(unknown).map(|given| (given.name.clone(), money(given.amount))).collect()
    }

    /// The gateway gives back what it has; what it has not it refuses, and is then asked for all that went back.
    fn refunds(&mut self, id: RefundId) -> Result<Transition, Refused> {
        let refund = self.payment.refunds.iter().find(|refund| refund.id == id).unwrap().clone();
        assert!(!self.refused_keys.contains(&refund.key()), "it repeats its refusal of {}", refund.key());
        let amount = refund.amount.amount();
        if amount <= self.net() {
            let ours = Some(id);
            self.given_back.push(GivenBack { name: refund.key(), ours, amount, failed: false });
            return self.payment.answered(Call::Refund(id), GatewayReply::Done);
        }
        self.refused_keys.push(refund.key());
        self.unfinished = Some(Call::Refund(id));
        self.told_of_money_back();
        self.unfinished = None;
        let (code, elsewhere) = ("charge_already_refunded".to_owned(), self.unknown_here());
        let answer =
            if elsewhere.is_empty() { GatewayReply::No { code } } else { GatewayReply::Overtaken { code, elsewhere } };
        self.payment.answered(Call::Refund(id), answer)
    }

    /// As the worker gives back what was captured in part.
    fn gives_part_back(&mut self) -> Result<Transition, Refused> {
        let (captured, left) = (money(self.captured), self.net());
        let ours = caused(BY_HAND);
        let refund = (left > 0).then(|| (ours, money(left)));
        if left > 0 {
            let name = "part".to_owned();
            self.given_back.push(GivenBack { name, ours: Some(ours), amount: left, failed: false });
        }
        self.payment.answered(Call::Void, GatewayReply::PartGivenBack { captured, refund })
    }

    fn does(&mut self, call: Call) -> Result<Transition, Refused> {
        self.unfinished = None;
        match call {
            Call::Authorise if !self.payment.may_authorise(DateTime::UNIX_EPOCH) => {
                return self.payment.answered(call, GatewayReply::NotAsked);
            }
            Call::Authorise => self.authorised += TOTAL,
            // The customer acted before their intent was ended.
            Call::Void if self.payment.state == State::Closing && self.authorised == TOTAL => {
                if !self.payment.void_requested {
                    return self.payment.answered(call, GatewayReply::AuthorisedAfterAll);
                }
                self.authorised = 0;
                return self.payment.answered(call, GatewayReply::LetGo);
            }
            Call::Capture if self.by_hand && self.captured < TOTAL => {
                return self.payment.answered(call, GatewayReply::No { code: CAPTURED_IN_PART.to_owned() });
            }
            Call::Capture if self.by_hand => {}
            Call::Void if self.by_hand && self.captured < TOTAL => return self.gives_part_back(),
            Call::Void if self.by_hand => {
                return self.payment.answered(call, GatewayReply::CapturedElsewhere { refund: caused(BY_HAND) });
            }
            Call::Capture => (self.authorised, self.captured) = (self.authorised - TOTAL, self.captured + TOTAL),
            Call::Void => self.authorised = 0,
            Call::Refund(id) => return self.refunds(id),
        }
        self.payment.answered(call, GatewayReply::Done)
    }

    /// All calls are answered; where the gateway refuses, it refuses what the last word has not caused.
    fn comes_to_rest(&mut self, refuses: bool) {
        while let Some(call) = self.unfinished {
            let another = matches!(call, Call::Refund(id) if (0..4).any(|number| id == caused(number)));
            self.goes_on(if refuses && another { Happens::Refuses } else { Happens::Does });
        }
    }

    fn count(&self, type_name: &str) -> usize {
        self.said.iter().filter(|event| event.type_name() == type_name).count()
    }

    /// The rules of the checker, as far as one payment goes.
    fn holds(&self) {
        assert!(self.authorised == 0 || self.authorised == TOTAL);
        assert!(self.captured == 0 || self.captured == TOTAL || self.by_hand);
        assert!(self.captured == TOTAL || self.count("payment.captured.v1") == 0, "said to be paid, and is not");
        for once in ["payment.authorized.v1", "payment.captured.v1", "payment.voided.v1"] {
            assert!(self.count(once) <= 1, "{once} twice");
        }
        let final_decline = |event: &&PaymentEvent| matches!(event, PaymentEvent::Declined(said) if !said.retryable);
        let declined = self.said.iter().filter(final_decline).count();
        assert!(declined + self.count("payment.authorized.v1") <= 1, "declined twice, or declined and authorised");
        let known = self.payment.captured().map_or(0, Money::amount);
        assert!(known == self.captured || (self.by_hand && known == 0));
        let counts = |refund: &&Refund| matches!(refund.state, RefundState::Calling | RefundState::Done);
        let given: i64 = self.payment.refunds.iter().filter(counts).map(|refund| refund.amount.amount()).sum();
        assert!(given <= self.captured, "{given} is given back or about to be");
        let ids: BTreeSet<_> = self.payment.refunds.iter().map(|refund| refund.id).collect();
        assert_eq!(ids.len(), self.payment.refunds.len(), "two refunds under one id: {:?}", self.payment.refunds);
        let is_all = |event: &&PaymentEvent| matches!(event, PaymentEvent::Refunded(said) if said.remaining.is_zero());
        let came_back = self.count("payment.refund_failed.v1");
        assert!(self.said.iter().filter(is_all).count() <= 1 + came_back, "refunded to the end twice");
        if self.unfinished.is_none() {
            let waits = matches!(self.payment.state, State::Authorized | State::CaptureFailed);
            let may_have_acted = self.payment.state == State::ActionRequired;
            let reserved = if waits && !self.by_hand { TOTAL } else { 0 };
            assert!(may_have_acted || self.authorised == reserved, "money left at the gateway");
        }
    }
}

fn tea(pieces: u8) -> StockLine {
    StockLine { sku: "TEA".parse().unwrap(), quantity: Quantity::try_from(i64::from(pieces)).unwrap() }
}

fn held() -> StockReserved {
    StockReserved { order_id: ORDER, expires_at: DateTime::UNIX_EPOCH + TimeDelta::minutes(15) }
}

fn back(cause: RestockCause, pieces: u8) -> StockRestocked {
    StockRestocked { order_id: ORDER, cause, lines: vec![tea(pieces)] }
}

fn lost(pieces: u8) -> ShipmentLost {
    ShipmentLost { order_id: ORDER, shipment_id: ShipmentId(Uuid::from_u128(3)), lines: vec![tea(pieces)] }
}

fn money(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

fn charge() -> Charge {
    let StockLine { sku, quantity } = tea(3);
    let lines = vec![ChargeLine { sku, quantity, unit_price: money(1000) }];
    Charge { amount: money(TOTAL), method: "pm_card_visa".parse().unwrap(), lines, customer: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_walk_breaks_a_rule_and_released_brings_all_money_back(
        begins in 0..=PAID.len(),
        walk in prop::collection::vec(anything(), 0..40),
        after in prop::collection::vec(at_the_gateway(), 0..12),
        refuses in any::<bool>(),
    ) {
        let mut shop = Walk::new();
        PAID[..begins].iter().for_each(|happens| shop.goes_on(*happens));
        walk.into_iter().for_each(|happens| shop.goes_on(happens));
        // Stock's last word: it is never said again, whatever becomes of what is under way then.
        shop.goes_on(Happens::Released(LAST_WORD));
        shop.comes_to_rest(refuses);
        for happens in after {
            shop.goes_on(happens);
            shop.comes_to_rest(refuses);
        }
        shop.goes_on(Happens::IsToldOfMoneyBack);
        shop.comes_to_rest(refuses);
        prop_assert_eq!((shop.authorised, shop.net() + shop.beyond() - shop.outside), (0, 0));
    }
}
