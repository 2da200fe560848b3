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
