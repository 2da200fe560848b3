//! The parcel.

use super::*;

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
fn a_dispatched_parcel_is_lost_and_no_piece_moves() {
    let says = ["shipment.lost.v1"];
    let change = given(with_shipment(Stage::Dispatched)).when(|goods| goods.lose(at())).then("committed", None, &says);
    let (order_id, shipment) = (order(), change.goods.shipment.unwrap());
    assert_eq!((shipment.stage, shipment.lost_at), (Stage::Lost, Some(at())));
    assert_eq!(change.events, [ShipmentLost { order_id, shipment_id: shipment.id, lines: two_lines() }.into()]);
}

#[test]
fn only_what_is_on_its_way_is_lost_and_a_lost_parcel_stays_lost() {
    for stage in [Stage::Pending, Stage::Packed, Stage::Delivered, Stage::Cancelled, Stage::Returned, Stage::Lost] {
        given(with_shipment(stage)).when(|goods| goods.lose(at())).then_shipment_refused("lost");
    }
    given(with_shipment(Stage::Lost)).when(|goods| goods.deliver(at())).then_shipment_refused("delivered");
    given(with_shipment(Stage::Lost))
        .when(|goods| goods.take_back(two_lines(), at()))
        .then_shipment_refused("returned");
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

fn returned(change: &Change) -> (Stage, usize) {
    let parcel = change.goods.shipment.as_ref().unwrap();
    (parcel.stage, parcel.returned.len())
}

const BACK: [&str; 2] = ["shipment.returned.v1", "stock.restocked.v1"];

#[test]
fn lines_of_a_delivered_parcel_come_back_one_by_one_until_all_of_it_is_back() {
    let take = |lines: Vec<StockLine>| move |goods: Goods| goods.take_back(lines, at());
    let goods = with_shipment(Stage::Delivered);
    let some = given(goods).when(take(vec![line("TEA", 2)])).then("committed", Some(Shift::Restock), &BACK);
    assert_eq!((returned(&some), some.shift.unwrap().1), ((Stage::Delivered, 1), vec![line("TEA", 2)]));
    let rest = vec![line("MUG", 1), line("TEA", 1)];
    let all = given(some.goods).when(take(rest)).then("committed", Some(Shift::Restock), &BACK);
    assert_eq!(returned(&all), (Stage::Returned, 3));
    given(all.goods).when(take(vec![line("TEA", 1)])).then_shipment_refused("returned");
}

#[test]
fn no_more_comes_back_than_was_in_the_parcel() {
    let some = with_shipment(Stage::Delivered).take_back(vec![line("TEA", 2)], at()).unwrap().goods;
    for lines in [vec![line("TEA", 2)], vec![line("MUG", 2)], vec![line("POT", 1)]] {
        let refused = some.clone().take_back(lines, at()).unwrap_err();
        assert_eq!(refused.to_string(), "a line that is not in the parcel, or back already can't be returned");
    }
}

#[test]
fn a_parcel_on_its_way_comes_back_whole_or_not_at_all() {
    let goods = with_shipment(Stage::Dispatched);
    goods.clone().take_back(vec![line("TEA", 3)], at()).unwrap_err();
    let back =
        given(goods).when(|goods| goods.take_back(two_lines(), at())).then("committed", Some(Shift::Restock), &BACK);
    assert_eq!(returned(&back), (Stage::Returned, 2));
}

#[test]
fn nothing_comes_back_that_never_left() {
    for stage in [Stage::Pending, Stage::Packed, Stage::Cancelled] {
        given(with_shipment(stage)).when(|goods| goods.take_back(two_lines(), at())).then_shipment_refused("returned");
    }
    given(committed()).when(|goods| goods.take_back(two_lines(), at())).then_shipment_refused("returned");
}
