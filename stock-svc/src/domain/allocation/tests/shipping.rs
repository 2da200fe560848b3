use super::*;

#[test]
fn a_parcel_is_packed_and_nobody_is_told() {
    let change = given(with_shipment(Stage::Pending)).when(|allocation| allocation.pack(PARCEL, at())).then(
        "committed",
        None,
        &[],
    );
    assert_eq!(only(&change).stage, Stage::Packed);
}

#[test]
fn a_parcel_is_dispatched_packed_or_not() {
    for stage in [Stage::Pending, Stage::Packed] {
        let says = ["shipment.dispatched.v1"];
        let change = given(with_shipment(stage))
            .when(|allocation| allocation.dispatch(PARCEL, "An Post".parse().unwrap(), "AP1".parse().unwrap(), at()))
            .then("committed", None, &says);
        let shipment = only(&change);
        assert_eq!((shipment.stage, shipment.dispatched_at), (Stage::Dispatched, Some(at())));
        assert_eq!(shipment.tracking_number.as_ref().unwrap().as_str(), "AP1");
    }
}

#[test]
fn carrier_and_number_are_corrected_on_the_way_alone() {
    let correct =
        |allocation: Allocation| allocation.correct_tracking(PARCEL, "DPD".parse().unwrap(), "D1".parse().unwrap());
    let says = ["shipment.tracking_corrected.v1"];
    let change = given(with_shipment(Stage::Dispatched)).when(correct).then("committed", None, &says);
    let shipment = only(&change);
    assert_eq!((shipment.stage, shipment.tracking_number.as_ref().unwrap().as_str()), (Stage::Dispatched, "D1"));
    given(change.allocation).when(correct).then("committed", None, &[]);
    for stage in [Stage::Pending, Stage::Packed, Stage::Delivered, Stage::Cancelled, Stage::Returned, Stage::Lost] {
        given(with_shipment(stage)).when(correct).then_shipment_refused("given another tracking number");
    }
}

#[test]
fn a_dispatched_parcel_is_delivered() {
    let says = ["shipment.delivered.v1"];
    let change = given(with_shipment(Stage::Dispatched)).when(|allocation| allocation.deliver(PARCEL, at())).then(
        "committed",
        None,
        &says,
    );
    assert_eq!(only(&change).stage, Stage::Delivered);
}

#[test]
fn a_dispatched_parcel_is_lost_and_no_piece_moves() {
    let says = ["shipment.lost.v1"];
    let change = given(with_shipment(Stage::Dispatched)).when(|allocation| allocation.lose(PARCEL, at())).then(
        "committed",
        None,
        &says,
    );
    let (order_id, shipment) = (order(), only(&change));
    assert_eq!((shipment.stage, shipment.lost_at), (Stage::Lost, Some(at())));
    assert_eq!(change.events, [ShipmentLost { order_id, shipment_id: shipment.id, lines: two_lines() }.into()]);
}

#[test]
fn only_what_is_on_its_way_is_lost_and_a_lost_parcel_stays_lost() {
    for stage in [Stage::Pending, Stage::Packed, Stage::Delivered, Stage::Cancelled, Stage::Returned, Stage::Lost] {
        given(with_shipment(stage)).when(|allocation| allocation.lose(PARCEL, at())).then_shipment_refused("lost");
    }
    given(with_shipment(Stage::Lost))
        .when(|allocation| allocation.deliver(PARCEL, at()))
        .then_shipment_refused("delivered");
    given(with_shipment(Stage::Lost))
        .when(|allocation| allocation.take_back(PARCEL, two_lines(), at()))
        .then_shipment_refused("returned");
}

#[test]
fn a_parcel_goes_one_way_only() {
    for stage in [Stage::Packed, Stage::Dispatched, Stage::Delivered, Stage::Cancelled] {
        given(with_shipment(stage)).when(|allocation| allocation.pack(PARCEL, at())).then_shipment_refused("packed");
    }
    for stage in [Stage::Dispatched, Stage::Delivered, Stage::Cancelled] {
        let dispatch = |allocation: Allocation| {
            allocation.dispatch(PARCEL, "An Post".parse().unwrap(), "AP1".parse().unwrap(), at())
        };
        given(with_shipment(stage)).when(dispatch).then_shipment_refused("dispatched");
    }
    for stage in [Stage::Pending, Stage::Packed, Stage::Delivered, Stage::Cancelled] {
        given(with_shipment(stage))
            .when(|allocation| allocation.deliver(PARCEL, at()))
            .then_shipment_refused("delivered");
    }
}

#[test]
fn a_parcel_that_was_never_created_goes_nowhere() {
    given(committed()).when(|allocation| allocation.deliver(PARCEL, at())).then_shipment_refused("delivered");
}

fn returned(change: &Change) -> (Stage, usize) {
    let parcel = only(change);
    (parcel.stage, parcel.returned.len())
}

const BACK: [&str; 2] = ["shipment.returned.v1", "stock.restocked.v1"];

#[test]
fn lines_of_a_delivered_parcel_come_back_one_by_one_until_all_of_it_is_back() {
    let take = |lines: Vec<StockLine>| move |allocation: Allocation| allocation.take_back(PARCEL, lines, at());
    let allocation = with_shipment(Stage::Delivered);
    let some =
        given(allocation).when(take(vec![line("TEA", 2)])).then("committed", Some(StockMovement::Restock), &BACK);
    assert_eq!((returned(&some), some.movement.unwrap().1), ((Stage::Delivered, 1), vec![line("TEA", 2)]));
    let rest = vec![line("MUG", 1), line("TEA", 1)];
    let all = given(some.allocation).when(take(rest)).then("committed", Some(StockMovement::Restock), &BACK);
    assert_eq!(returned(&all), (Stage::Returned, 3));
    given(all.allocation).when(take(vec![line("TEA", 1)])).then_shipment_refused("returned");
}

#[test]
fn no_more_comes_back_than_was_in_the_parcel() {
    let some = with_shipment(Stage::Delivered).take_back(PARCEL, vec![line("TEA", 2)], at()).unwrap().allocation;
    for lines in [vec![line("TEA", 2)], vec![line("MUG", 2)], vec![line("POT", 1)]] {
        let refused = some.clone().take_back(PARCEL, lines, at()).unwrap_err();
        assert_eq!(refused.to_string(), "a line that is not in the parcel, or back already can't be returned");
    }
}

#[test]
fn a_parcel_on_its_way_comes_back_whole_or_not_at_all() {
    let allocation = with_shipment(Stage::Dispatched);
    allocation.clone().take_back(PARCEL, vec![line("TEA", 3)], at()).unwrap_err();
    let back = given(allocation).when(|allocation| allocation.take_back(PARCEL, two_lines(), at())).then(
        "committed",
        Some(StockMovement::Restock),
        &BACK,
    );
    assert_eq!(returned(&back), (Stage::Returned, 2));
}

const PARTS: [ShipmentId; 2] = [ShipmentId(uuid::Uuid::from_u128(6)), ShipmentId(uuid::Uuid::from_u128(7))];

fn split(allocation: Allocation, lines: Vec<StockLine>) -> Result<Change, Refused> {
    allocation.split(PARCEL, &lines, PARTS.map(|id| NewParcel { id, at: at() }), at())
}

#[test]
fn a_parcel_is_split_by_pieces_into_two_that_take_its_place() {
    for stage in [Stage::Pending, Stage::Packed] {
        let says = ["shipment.cancelled.v1", "shipment.created.v1", "shipment.created.v1"];
        let change = given(with_shipment(stage)).when(|allocation| split(allocation, vec![line("TEA", 2)])).then(
            "committed",
            None,
            &says,
        );
        let (order_id, shipment_id) = (order(), PARCEL);
        assert_eq!(change.events[0], ShipmentCancelled { order_id, shipment_id, split_into: PARTS.to_vec() }.into());
        let stands: Vec<_> =
            change.allocation.shipments.into_iter().map(|parcel| (parcel.id, parcel.stage, parcel.lines)).collect();
        let [whole, part, rest] = <[_; 3]>::try_from(stands).unwrap();
        assert_eq!(whole, (PARCEL, Stage::Cancelled, two_lines()));
        assert_eq!(part, (PARTS[0], Stage::Pending, vec![line("TEA", 2)]));
        assert_eq!(rest, (PARTS[1], Stage::Pending, vec![line("MUG", 1), line("TEA", 1)]));
    }
}

#[test]
fn a_parcel_is_split_into_something_and_something_else() {
    for lines in [vec![], two_lines(), vec![line("TEA", 4)], vec![line("POT", 1)]] {
        split(with_shipment(Stage::Pending), lines).unwrap_err();
    }
}

#[test]
fn what_has_left_or_was_called_off_is_not_split() {
    for stage in [Stage::Dispatched, Stage::Delivered, Stage::Cancelled, Stage::Returned, Stage::Lost] {
        given(with_shipment(stage))
            .when(|allocation| split(allocation, vec![line("TEA", 1)]))
            .then_shipment_refused("split");
    }
}

#[test]
fn the_parts_of_a_parcel_have_lives_of_their_own_and_can_be_split_again() {
    let parts = split(with_shipment(Stage::Pending), vec![line("TEA", 2)]).unwrap().allocation;
    let gone = parts.dispatch(PARTS[0], "An Post".parse().unwrap(), "AP1".parse().unwrap(), at()).unwrap().allocation;
    let lost = gone.lose(PARTS[0], at()).unwrap().allocation;
    let again = [8, 9].map(|n| NewParcel { id: ShipmentId(uuid::Uuid::from_u128(n)), at: at() });
    let stages: Vec<_> = lost.split(PARTS[1], &[line("MUG", 1)], again, at()).unwrap().allocation.shipments;
    let stages: Vec<_> = stages.into_iter().map(|parcel| parcel.stage).collect();
    assert_eq!(stages, [Stage::Cancelled, Stage::Lost, Stage::Cancelled, Stage::Pending, Stage::Pending]);
}

#[test]
fn a_cancel_calls_every_part_off_and_restocks_once_and_leaves_all_as_it_is_once_one_has_left() {
    let parts = split(with_shipment(Stage::Pending), vec![line("TEA", 2)]).unwrap().allocation;
    let says = ["shipment.cancelled.v1", "shipment.cancelled.v1", "stock.restocked.v1"];
    let undone = given(parts.clone()).when(|allocation| allocation.cancel(REASON, at())).then(
        "restocked",
        Some(StockMovement::Restock),
        &says,
    );
    assert_eq!(undone.movement.unwrap().1, two_lines());
    let gone = parts.dispatch(PARTS[1], "An Post".parse().unwrap(), "AP1".parse().unwrap(), at()).unwrap().allocation;
    assert_eq!(gone.cancel(REASON, at()).unwrap_err().to_string(), "a shipment that is dispatched can't be cancelled");
}

#[test]
fn nothing_comes_back_that_never_left() {
    for stage in [Stage::Pending, Stage::Packed, Stage::Cancelled] {
        given(with_shipment(stage))
            .when(|allocation| allocation.take_back(PARCEL, two_lines(), at()))
            .then_shipment_refused("returned");
    }
    given(committed())
        .when(|allocation| allocation.take_back(PARCEL, two_lines(), at()))
        .then_shipment_refused("returned");
}
