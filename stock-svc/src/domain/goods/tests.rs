//! Every transition, allowed and refused, as given / when / then.

use chrono::TimeDelta;
use shared_events::{Shortage, Sku};

use super::*;
use crate::domain::{Level, Stage};

const REASON: CancelReason = CancelReason::Customer;

fn order() -> OrderId {
    "0198c0de-0000-7000-8000-000000000001".parse().unwrap()
}

fn at() -> DateTime<Utc> {
    "2026-05-04T10:00:00Z".parse().unwrap()
}

fn until() -> DateTime<Utc> {
    at() + TimeDelta::minutes(15)
}

fn sku(name: &str) -> Sku {
    name.parse().unwrap()
}

fn line(name: &str, quantity: i64) -> StockLine {
    StockLine { sku: sku(name), quantity: quantity.try_into().unwrap() }
}

fn two_lines() -> Vec<StockLine> {
    vec![line("MUG", 1), line("TEA", 3)]
}

fn levels(mugs: i64, teas: i64) -> Levels {
    [(sku("MUG"), Level { on_hand: mugs, held: 0 }), (sku("TEA"), Level { on_hand: teas + 2, held: 2 })]
        .into_iter()
        .collect()
}

fn reservation(state: State) -> Goods {
    Goods { reservation: Some(Reservation { state, lines: two_lines() }), ..Goods::unheard(order()) }
}

fn held() -> Goods {
    reservation(State::Held { expires_at: until() })
}

fn committed() -> Goods {
    reservation(State::Committed)
}

fn with_shipment(stage: Stage) -> Goods {
    let shipment = Shipment { stage, ..Shipment::create(ShipmentId::new(), two_lines(), at()) };
    Goods { captured: true, shipment: Some(shipment), ..committed() }
}

struct Given(Goods);
struct When(Result<Change, Refused>, Goods);

fn given(goods: Goods) -> Given {
    Given(goods)
}

impl Given {
    fn when(self, act: impl FnOnce(Goods) -> Result<Change, Refused>) -> When {
        When(act(self.0.clone()), self.0)
    }
}

impl When {
    /// The state it leaves, the pieces it moves, the types it announces.
    fn then(self, state: &str, shift: Option<Shift>, says: &[&str]) -> Change {
        let change = self.0.expect("allowed");
        assert_eq!(change.goods.state().map(State::name), Some(state));
        assert_eq!(change.shift, shift);
        assert_eq!(change.events.iter().map(Event::type_name).collect::<Vec<_>>(), says);
        change
    }

    fn then_refused(self, wanted: &str) {
        let refused = self.0.expect_err("refused");
        let state = self.1.state().map_or("unheard of", State::name);
        assert_eq!((refused.wanted, refused.state), (wanted, state));
    }

    fn then_shipment_refused(self, wanted: &str) {
        let refused = self.0.expect_err("refused");
        let stage = self.1.shipment.map_or("not created", |shipment| shipment.stage.name());
        assert_eq!((refused.what, refused.wanted, refused.state), ("shipment", wanted, stage));
    }
}

/// Every state but those named.
fn all_but(except: &[&str]) -> Vec<Goods> {
    [
        State::Held { expires_at: until() },
        State::Committed,
        State::Restocked,
        State::Released { reason: REASON },
        State::Expired,
        State::RejectedShortages,
        State::RejectedExpired,
        State::Tombstone { reason: REASON },
    ]
    .into_iter()
    .filter(|state| !except.contains(&state.name()))
    .map(reservation)
    .collect()
}

#[test]
fn an_order_holds_all_lines_until_they_expire() {
    let change = given(Goods::unheard(order())).when(|goods| goods.place(two_lines(), &levels(1, 3), until())).then(
        "held",
        Some(Shift::Hold),
        &["stock.reserved.v1"],
    );
    assert_eq!(change.events, [StockReserved { order_id: order(), expires_at: until() }.into()]);
}

#[test]
fn one_short_line_rejects_all_and_says_which_line_it_was() {
    let change = given(Goods::unheard(order())).when(|goods| goods.place(two_lines(), &levels(1, 2), until())).then(
        "rejected_shortages",
        None,
        &["stock.rejected.v1"],
    );
    let short = Shortage { sku: sku("TEA"), requested: 3.try_into().unwrap(), available: 2 };
    let rejection = Rejection::Shortages { lines: vec![short] };
    assert_eq!(change.events, [StockRejected { order_id: order(), rejection }.into()]);
}

#[test]
fn a_sku_that_nobody_listed_is_short() {
    given(Goods::unheard(order())).when(|goods| goods.place(vec![line("GHOST", 1)], &levels(1, 1), until())).then(
        "rejected_shortages",
        None,
        &["stock.rejected.v1"],
    );
}

#[test]
fn a_known_order_is_not_held_again() {
    for goods in all_but(&[]) {
        given(goods).when(|goods| goods.place(two_lines(), &levels(9, 9), until())).then_refused("held");
    }
}

#[test]
fn a_hold_is_committed() {
    let change =
        given(held()).when(|goods| goods.commit(at())).then("committed", Some(Shift::Commit), &["stock.committed.v1"]);
    assert_eq!(change.goods.shipment, None);
}

#[test]
fn only_a_hold_is_committed() {
    for goods in all_but(&["held"]).into_iter().chain([Goods::unheard(order())]) {
        given(goods).when(|goods| goods.commit(at())).then_refused("committed");
    }
}

#[test]
fn an_expired_hold_is_held_again_and_committed_at_once() {
    given(reservation(State::Expired)).when(|goods| goods.commit_again(&levels(1, 3), at())).then(
        "committed",
        Some(Shift::HoldAndCommit),
        &["stock.committed.v1"],
    );
}

#[test]
fn an_expired_hold_whose_goods_are_gone_is_rejected() {
    let change = given(reservation(State::Expired)).when(|goods| goods.commit_again(&levels(0, 3), at())).then(
        "rejected_expired",
        None,
        &["stock.rejected.v1"],
    );
    assert_eq!(change.events, [StockRejected { order_id: order(), rejection: Rejection::Expired }.into()]);
}

#[test]
fn only_what_expired_is_held_again() {
    for goods in all_but(&["expired"]) {
        given(goods).when(|goods| goods.commit_again(&levels(9, 9), at())).then_refused("held again");
    }
}

#[test]
fn a_shipment_is_created_when_the_money_follows_the_goods() {
    let change = given(committed()).when(|goods| goods.capture(at())).then("committed", None, &["shipment.created.v1"]);
    assert_eq!(change.goods.shipment.map(|shipment| shipment.lines), Some(two_lines()));
}

#[test]
fn a_shipment_is_created_when_the_goods_follow_the_money() {
    let paid = Goods { captured: true, ..held() };
    let says = ["stock.committed.v1", "shipment.created.v1"];
    given(paid).when(|goods| goods.commit(at())).then("committed", Some(Shift::Commit), &says);
}

#[test]
fn a_shipment_is_created_when_paid_goods_are_held_again() {
    let paid = Goods { captured: true, ..reservation(State::Expired) };
    let says = ["stock.committed.v1", "shipment.created.v1"];
    given(paid).when(|goods| goods.commit_again(&levels(9, 9), at())).then(
        "committed",
        Some(Shift::HoldAndCommit),
        &says,
    );
}

#[test]
fn a_capture_is_remembered_and_ships_nothing_that_is_not_firm() {
    for goods in all_but(&["committed"]) {
        let state = goods.state().unwrap().name();
        let change = given(goods).when(|goods| goods.capture(at())).then(state, None, &[]);
        assert!(change.goods.captured);
        assert_eq!(change.goods.shipment, None);
    }
}

#[test]
fn a_capture_heard_before_anything_else_is_remembered() {
    let change = Goods::unheard(order()).capture(at()).unwrap();
    assert!(change.goods.captured && change.events.is_empty());
}

#[test]
fn a_second_capture_creates_no_second_shipment() {
    let refused = with_shipment(Stage::Pending).capture(at()).unwrap_err();
    assert_eq!(refused.to_string(), "a payment that is captured can't be captured");
}

#[test]
fn a_cancel_releases_a_hold() {
    let change = given(held()).when(|goods| goods.cancel(REASON, at())).then(
        "released",
        Some(Shift::Release),
        &["stock.released.v1"],
    );
    assert_eq!(change.events, [StockReleased { order_id: order(), reason: REASON }.into()]);
}

#[test]
fn a_cancel_after_expiry_moves_no_stock_and_says_released() {
    for state in [State::Expired, State::RejectedExpired] {
        given(reservation(state)).when(|goods| goods.cancel(REASON, at())).then(
            "released",
            None,
            &["stock.released.v1"],
        );
    }
}

#[test]
fn a_cancel_before_anything_is_paid_restocks_what_was_firm() {
    let change = given(committed()).when(|goods| goods.cancel(REASON, at())).then(
        "restocked",
        Some(Shift::Restock),
        &["stock.restocked.v1"],
    );
    let (cause, lines) = (RestockCause::Cancelled, two_lines());
    assert_eq!(change.events, [StockRestocked { order_id: order(), cause, lines }.into()]);
}

#[test]
fn a_cancel_before_dispatch_calls_the_parcel_off_and_restocks() {
    for stage in [Stage::Pending, Stage::Packed] {
        let says = ["shipment.cancelled.v1", "stock.restocked.v1"];
        let change = given(with_shipment(stage)).when(|goods| goods.cancel(REASON, at())).then(
            "restocked",
            Some(Shift::Restock),
            &says,
        );
        assert_eq!(change.goods.shipment.map(|shipment| shipment.stage), Some(Stage::Cancelled));
    }
}

#[test]
fn a_cancel_leaves_everything_as_it_is_once_the_parcel_has_left() {
    for stage in [Stage::Dispatched, Stage::Delivered] {
        given(with_shipment(stage)).when(|goods| goods.cancel(REASON, at())).then_shipment_refused("cancelled");
    }
}

#[test]
fn a_cancel_answers_nothing_where_nothing_is_held() {
    for goods in all_but(&["held", "expired", "rejected_expired", "committed"]) {
        given(goods).when(|goods| goods.cancel(REASON, at())).then_refused("released");
    }
}

#[test]
fn a_cancel_heard_before_the_order_leaves_a_tombstone_which_never_holds() {
    let buried = given(Goods::unheard(order())).when(|goods| goods.cancel(REASON, at())).then(
        "tombstone",
        None,
        &["stock.released.v1"],
    );
    given(buried.goods).when(|goods| goods.place(two_lines(), &levels(9, 9), until())).then_refused("held");
}

#[test]
fn a_captured_order_that_was_restocked_ships_nothing() {
    given(reservation(State::Restocked)).when(|goods| goods.capture(at())).then("restocked", None, &[]);
}

#[test]
fn a_final_decline_releases_what_is_held_and_what_expired() {
    let declined = CancelReason::PaymentDeclined;
    let says = ["stock.released.v1"];
    given(held()).when(|goods| goods.release(declined)).then("released", Some(Shift::Release), &says);
    given(reservation(State::Expired)).when(|goods| goods.release(declined)).then("released", None, &says);
    given(Goods::unheard(order())).when(|goods| goods.release(declined)).then("tombstone", None, &says);
}

#[test]
fn a_final_decline_moves_nothing_else() {
    for goods in all_but(&["held", "expired"]) {
        given(goods).when(|goods| goods.release(CancelReason::PaymentDeclined)).then_refused("released");
    }
}

#[test]
fn a_hold_expires() {
    given(held()).when(Goods::expire).then("expired", Some(Shift::Release), &["stock.expired.v1"]);
}

#[test]
fn only_a_hold_expires() {
    for goods in all_but(&["held"]).into_iter().chain([Goods::unheard(order())]) {
        given(goods).when(Goods::expire).then_refused("expired");
    }
}

#[test]
fn a_parcel_is_packed_and_nobody_is_told() {
    let change = given(with_shipment(Stage::Pending)).when(|goods| goods.pack(at())).then("committed", None, &[]);
    assert_eq!(change.goods.shipment.map(|shipment| shipment.stage), Some(Stage::Packed));
}

#[test]
fn a_parcel_is_dispatched_packed_or_not() {
    for stage in [Stage::Pending, Stage::Packed] {
        let says = ["shipment.dispatched.v1"];
        let change = given(with_shipment(stage))
            .when(|goods| goods.dispatch("An Post".parse().unwrap(), "AP1".parse().unwrap(), at()))
            .then("committed", None, &says);
        let shipment = change.goods.shipment.unwrap();
        assert_eq!((shipment.stage, shipment.dispatched_at), (Stage::Dispatched, Some(at())));
        assert_eq!(shipment.tracking_number.unwrap().as_str(), "AP1");
    }
}

#[test]
fn a_dispatched_parcel_is_delivered() {
    let says = ["shipment.delivered.v1"];
    let change =
        given(with_shipment(Stage::Dispatched)).when(|goods| goods.deliver(at())).then("committed", None, &says);
    assert_eq!(change.goods.shipment.map(|shipment| shipment.stage), Some(Stage::Delivered));
}

#[test]
fn a_parcel_goes_one_way_only() {
    for stage in [Stage::Packed, Stage::Dispatched, Stage::Delivered, Stage::Cancelled] {
        given(with_shipment(stage)).when(|goods| goods.pack(at())).then_shipment_refused("packed");
    }
    for stage in [Stage::Dispatched, Stage::Delivered, Stage::Cancelled] {
        let dispatch = |goods: Goods| goods.dispatch("An Post".parse().unwrap(), "AP1".parse().unwrap(), at());
        given(with_shipment(stage)).when(dispatch).then_shipment_refused("dispatched");
    }
    for stage in [Stage::Pending, Stage::Packed, Stage::Delivered, Stage::Cancelled] {
        given(with_shipment(stage)).when(|goods| goods.deliver(at())).then_shipment_refused("delivered");
    }
}

#[test]
fn a_parcel_that_was_never_created_goes_nowhere() {
    given(committed()).when(|goods| goods.deliver(at())).then_shipment_refused("delivered");
}
