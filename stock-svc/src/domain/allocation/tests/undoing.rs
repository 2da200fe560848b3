use super::*;

#[test]
fn a_cancel_releases_a_hold() {
    let change = given(held()).when(|allocation| allocation.cancel(REASON, at())).then(
        "released",
        Some(StockMovement::Release),
        &["stock.released.v1"],
    );
    assert_eq!(change.events, [StockReleased { order_id: order(), reason: REASON }.into()]);
}

#[test]
fn a_cancel_after_expiry_moves_no_stock_and_says_released() {
    for state in [State::Expired, State::RejectedExpired] {
        given(reservation(state)).when(|allocation| allocation.cancel(REASON, at())).then(
            "released",
            None,
            &["stock.released.v1"],
        );
    }
}

#[test]
fn a_cancel_before_anything_is_paid_restocks_what_was_firm() {
    let change = given(committed()).when(|allocation| allocation.cancel(REASON, at())).then(
        "restocked",
        Some(StockMovement::Restock),
        &["stock.restocked.v1"],
    );
    let (cause, lines) = (RestockCause::Cancelled, two_lines());
    assert_eq!(change.events, [StockRestocked { order_id: order(), cause, lines }.into()]);
}

#[test]
fn a_cancel_before_dispatch_calls_the_parcel_off_and_restocks() {
    for stage in [Stage::Pending, Stage::Packed] {
        let says = ["shipment.cancelled.v1", "stock.restocked.v1"];
        let change = given(with_shipment(stage)).when(|allocation| allocation.cancel(REASON, at())).then(
            "restocked",
            Some(StockMovement::Restock),
            &says,
        );
        assert_eq!(only(&change).stage, Stage::Cancelled);
    }
}

#[test]
fn a_cancel_leaves_everything_as_it_is_once_the_parcel_has_left() {
    for stage in [Stage::Dispatched, Stage::Delivered, Stage::Returned, Stage::Lost] {
        given(with_shipment(stage))
            .when(|allocation| allocation.cancel(REASON, at()))
            .then_shipment_refused("cancelled");
    }
}

#[test]
fn a_cancel_answers_nothing_where_nothing_is_held() {
    for allocation in all_but(&["held", "expired", "rejected_expired", "committed"]) {
        given(allocation).when(|allocation| allocation.cancel(REASON, at())).then_refused("released");
    }
}

#[test]
fn a_cancel_heard_before_the_order_leaves_a_tombstone_which_never_holds() {
    let tombstoned = given(Allocation::unheard(order())).when(|allocation| allocation.cancel(REASON, at())).then(
        "tombstone",
        None,
        &["stock.released.v1"],
    );
    given(tombstoned.allocation)
        .when(|allocation| allocation.place(two_lines(), &levels(9, 9), until()))
        .then_refused("held");
}

#[test]
fn a_captured_order_that_was_restocked_ships_nothing() {
    given(reservation(State::Restocked)).when(|allocation| allocation.capture(parcel())).then("restocked", None, &[]);
}

#[test]
fn a_final_decline_releases_what_is_held_and_what_expired() {
    let declined = CancelReason::PaymentDeclined;
    let says = ["stock.released.v1"];
    given(held()).when(|allocation| allocation.release(declined)).then("released", Some(StockMovement::Release), &says);
    given(reservation(State::Expired)).when(|allocation| allocation.release(declined)).then("released", None, &says);
    given(Allocation::unheard(order())).when(|allocation| allocation.release(declined)).then("tombstone", None, &says);
}

#[test]
fn a_final_decline_moves_nothing_else() {
    for allocation in all_but(&["held", "expired"]) {
        given(allocation).when(|allocation| allocation.release(CancelReason::PaymentDeclined)).then_refused("released");
    }
}

#[test]
fn a_hold_expires() {
    given(held()).when(Allocation::expire).then("expired", Some(StockMovement::Release), &["stock.expired.v1"]);
}

#[test]
fn only_a_hold_expires() {
    for allocation in all_but(&["held"]).into_iter().chain([Allocation::unheard(order())]) {
        given(allocation).when(Allocation::expire).then_refused("expired");
    }
}
