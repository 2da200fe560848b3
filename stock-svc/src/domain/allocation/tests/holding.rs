use super::*;

#[test]
fn an_order_holds_all_lines_until_they_expire() {
    let change = given(Allocation::unheard(order()))
        .when(|allocation| allocation.place(two_lines(), &levels(1, 3), until()))
        .then("held", Some(StockMovement::Hold), &["stock.reserved.v1"]);
    assert_eq!(change.events, [StockReserved { order_id: order(), expires_at: until() }.into()]);
}

#[test]
fn one_short_line_rejects_all_and_says_which_line_it_was() {
    let change = given(Allocation::unheard(order()))
        .when(|allocation| allocation.place(two_lines(), &levels(1, 2), until()))
        .then("rejected_shortages", None, &["stock.rejected.v1"]);
    let short = Shortage { sku: sku("TEA"), requested: 3.try_into().unwrap(), available: 2 };
    let rejection = Rejection::Shortages { lines: vec![short] };
    assert_eq!(change.events, [StockRejected { order_id: order(), rejection }.into()]);
}

#[test]
fn a_sku_that_nobody_listed_is_short() {
    given(Allocation::unheard(order()))
        .when(|allocation| allocation.place(vec![line("GHOST", 1)], &levels(1, 1), until()))
        .then("rejected_shortages", None, &["stock.rejected.v1"]);
}

#[test]
fn a_known_order_is_not_held_again() {
    for allocation in all_but(&[]) {
        given(allocation).when(|allocation| allocation.place(two_lines(), &levels(9, 9), until())).then_refused("held");
    }
}

#[test]
fn a_hold_is_committed() {
    let change = given(held()).when(|allocation| allocation.confirm(&levels(0, 0), parcel())).then(
        "committed",
        Some(StockMovement::Commit),
        &["stock.committed.v1"],
    );
    assert_eq!(change.allocation.shipments, []);
}

#[test]
fn only_what_is_held_or_expired_is_committed() {
    for allocation in all_but(&["held", "expired"]).into_iter().chain([Allocation::unheard(order())]) {
        given(allocation).when(|allocation| allocation.confirm(&levels(0, 0), parcel())).then_refused("committed");
    }
}

#[test]
fn an_expired_hold_is_held_again_and_committed_at_once() {
    given(reservation(State::Expired)).when(|allocation| allocation.confirm(&levels(1, 3), parcel())).then(
        "committed",
        Some(StockMovement::HoldAndCommit),
        &["stock.committed.v1"],
    );
}

#[test]
fn an_expired_hold_whose_goods_are_gone_is_rejected() {
    let change = given(reservation(State::Expired))
        .when(|allocation| allocation.confirm(&levels(0, 3), parcel()))
        .then("rejected_expired", None, &["stock.rejected.v1"]);
    assert_eq!(change.events, [StockRejected { order_id: order(), rejection: Rejection::Expired }.into()]);
}

#[test]
fn a_shipment_is_created_when_the_money_follows_the_goods() {
    let change = given(committed()).when(|allocation| allocation.capture(parcel())).then(
        "committed",
        None,
        &["shipment.created.v1"],
    );
    assert_eq!(only(&change).lines, two_lines());
}

#[test]
fn a_shipment_is_created_when_the_goods_follow_the_money() {
    let paid = Allocation { captured: true, ..held() };
    let says = ["stock.committed.v1", "shipment.created.v1"];
    given(paid).when(|allocation| allocation.confirm(&levels(0, 0), parcel())).then(
        "committed",
        Some(StockMovement::Commit),
        &says,
    );
}

#[test]
fn a_shipment_is_created_when_paid_goods_are_held_again() {
    let paid = Allocation { captured: true, ..reservation(State::Expired) };
    let says = ["stock.committed.v1", "shipment.created.v1"];
    given(paid).when(|allocation| allocation.confirm(&levels(9, 9), parcel())).then(
        "committed",
        Some(StockMovement::HoldAndCommit),
        &says,
    );
}

#[test]
fn a_capture_is_remembered_and_ships_nothing_that_is_not_firm() {
    for allocation in all_but(&["committed"]) {
        let state = allocation.state().unwrap().name();
        let change = given(allocation).when(|allocation| allocation.capture(parcel())).then(state, None, &[]);
        assert!(change.allocation.captured);
        assert_eq!(change.allocation.shipments, []);
    }
}

#[test]
fn a_capture_heard_before_anything_else_is_remembered() {
    let change = Allocation::unheard(order()).capture(parcel()).unwrap();
    assert!(change.allocation.captured && change.events.is_empty());
}

#[test]
fn a_second_capture_creates_no_second_shipment() {
    let refused = with_shipment(Stage::Pending).capture(parcel()).unwrap_err();
    assert_eq!(refused.to_string(), "a payment that is captured can't be captured");
}
