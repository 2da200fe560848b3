use super::*;

const PART: ShipmentId = ShipmentId(uuid::Uuid::from_u128(6));

/// Two shipments: a mug and two teas in the first, a tea in the second.
fn two_parcels(first: Stage, second: Stage) -> Allocation {
    let shipment = |id, stage, lines| Shipment { stage, ..Shipment::create(NewParcel { id, at: at() }, lines) };
    let one = shipment(PARCEL, first, vec![line("MUG", 1), line("TEA", 2)]);
    let other = shipment(PART, second, vec![line("TEA", 1)]);
    Allocation { captured: true, shipments: vec![one, other], ..committed() }
}

fn stages(change: &Change) -> Vec<Stage> {
    change.allocation.shipments.iter().map(|shipment| shipment.stage).collect()
}

#[test]
fn what_is_still_there_goes_back_to_the_shelf_and_what_has_left_is_not_touched() {
    for gone in [Stage::Dispatched, Stage::Delivered, Stage::Returned, Stage::Lost] {
        for only in [None, Some(PARCEL)] {
            let change = given(two_parcels(Stage::Packed, gone))
                .when(|allocation| allocation.call_off(only, at()))
                .then("committed", Some(StockMovement::Restock), &["shipment.cancelled.v1", "stock.restocked.v1"]);
            assert_eq!(stages(&change), [Stage::Cancelled, gone]);
            let lines = vec![line("MUG", 1), line("TEA", 2)];
            assert_eq!(change.movement, Some((StockMovement::Restock, lines.clone())));
            let back = StockRestocked { order_id: order(), cause: RestockCause::CalledOff, lines };
            assert_eq!(change.events[1], back.into());
        }
    }
}

#[test]
fn lines_of_several_parcels_come_back_as_one_line_a_sku() {
    let mut allocation = two_parcels(Stage::Pending, Stage::Packed);
    allocation.shipments.push(Shipment { id: ShipmentId(uuid::Uuid::from_u128(7)), ..allocation.shipments[0].clone() });
    allocation.shipments[2].stage = Stage::Dispatched;
    let says = ["shipment.cancelled.v1", "shipment.cancelled.v1", "stock.restocked.v1"];
    let change = given(allocation).when(|allocation| allocation.call_off(None, at())).then(
        "committed",
        Some(StockMovement::Restock),
        &says,
    );
    assert_eq!(change.movement, Some((StockMovement::Restock, two_lines())));
}

#[test]
fn one_parcel_is_called_off_and_the_others_stay() {
    let mut allocation = two_parcels(Stage::Pending, Stage::Dispatched);
    allocation.shipments.push(Shipment { id: ShipmentId(uuid::Uuid::from_u128(7)), ..allocation.shipments[0].clone() });
    let change = allocation.call_off(Some(PARCEL), at()).unwrap();
    assert_eq!(stages(&change), [Stage::Cancelled, Stage::Dispatched, Stage::Pending]);
}

#[test]
fn a_parcel_that_was_called_off_stays_so_and_nothing_is_said_again() {
    let once = two_parcels(Stage::Pending, Stage::Dispatched).call_off(Some(PARCEL), at()).unwrap().allocation;
    given(once.clone()).when(|allocation| allocation.call_off(Some(PARCEL), at())).then("committed", None, &[]);
    assert!(once.call_off(None, at()).is_err(), "nothing is there any more");
}

#[test]
fn while_nothing_has_left_the_order_is_cancelled_and_no_part_called_off() {
    for allocation in [two_parcels(Stage::Pending, Stage::Packed), with_shipment(Stage::Cancelled), committed(), held()]
    {
        assert!(allocation.clone().call_off(None, at()).is_err());
        assert!(allocation.call_off(Some(PARCEL), at()).is_err());
    }
}

#[test]
fn what_has_left_or_was_split_is_not_called_off() {
    for stage in [Stage::Dispatched, Stage::Delivered, Stage::Returned, Stage::Lost] {
        given(two_parcels(stage, Stage::Pending))
            .when(|allocation| allocation.call_off(Some(PARCEL), at()))
            .then_shipment_refused("called off");
    }
    let mut split = two_parcels(Stage::Cancelled, Stage::Dispatched);
    split.shipments[0].split_into = vec![PART];
    given(split).when(|allocation| allocation.call_off(Some(PARCEL), at())).then_shipment_refused("called off");
}
