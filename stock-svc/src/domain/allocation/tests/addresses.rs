use shared_events::{Address, StockAddressDecided};

use super::*;

fn address(line1: &str) -> Address {
    Address {
        line1: line1.parse().unwrap(),
        line2: None,
        city: "Cork".parse().unwrap(),
        postal_code: "T12".parse().unwrap(),
        country: "IE".to_owned().try_into().unwrap(),
    }
}

fn home() -> Address {
    address("1 Quay St")
}

fn elsewhere() -> Address {
    address("2 Mill Rd")
}

/// One shipment in each of these stages, all with the customer's home address.
fn parcels<const N: usize>(stages: [Stage; N]) -> Allocation {
    let parcel = |(n, stage)| Shipment {
        stage,
        address: Some(home()),
        ..Shipment::create(NewParcel { id: ShipmentId(uuid::Uuid::from_u128(n)), at: at() }, two_lines())
    };
    Allocation { captured: true, shipments: (1_u128..).zip(stages).map(parcel).collect(), ..committed() }
}

fn addresses(allocation: &Allocation) -> Vec<Option<Address>> {
    allocation.shipments.iter().map(|parcel| parcel.address.clone()).collect()
}

fn decided(taken: bool, kept: &[u128]) -> Event {
    let kept = kept.iter().map(|n| ShipmentId(uuid::Uuid::from_u128(*n))).collect();
    StockAddressDecided { order_id: order(), taken, kept }.into()
}

#[test]
fn a_parcel_carries_the_address_of_its_order_and_the_order_needs_it_no_more() {
    let placed = Allocation::unheard(order()).to(home()).place(two_lines(), &levels(9, 9), until()).unwrap().allocation;
    assert_eq!(placed.address, Some(home()));
    let moved = placed.readdress(&elsewhere(), 2).unwrap().allocation;
    let firm = moved.confirm(&levels(9, 9), parcel()).unwrap().allocation;
    let shipped = firm.capture(parcel()).unwrap().allocation;
    assert_eq!((addresses(&shipped), shipped.address.clone()), (vec![Some(elsewhere())], None));
    let parts = [1, 2].map(|n| NewParcel { id: ShipmentId(uuid::Uuid::from_u128(n)), at: at() });
    let split = shipped.split(PARCEL, &[line("MUG", 1)], parts, at()).unwrap().allocation;
    assert_eq!(addresses(&split), [None, Some(elsewhere()), Some(elsewhere())]);
}

#[test]
fn goods_that_will_not_leave_know_no_address() {
    let held = || held().to(home());
    for ended in [held().release(REASON), held().cancel(REASON, at())] {
        assert_eq!(ended.unwrap().allocation.address, None);
    }
    let short = Allocation::unheard(order()).to(home()).place(two_lines(), &levels(0, 0), until()).unwrap();
    assert_eq!(short.allocation.address, None);
    let expired = held().expire().unwrap().allocation;
    assert_eq!(expired.address, Some(home()), "it may be held again");
    assert_eq!(addresses(&parcels([Stage::Packed]).cancel(REASON, at()).unwrap().allocation), [None]);
}

#[test]
fn what_is_still_there_takes_the_address_and_what_has_left_keeps_its_own() {
    for gone in [Stage::Dispatched, Stage::Delivered, Stage::Returned, Stage::Lost] {
        let change =
            parcels([gone, Stage::Pending, Stage::Cancelled, Stage::Packed]).decide_address(&elsewhere(), 2).unwrap();
        let [before, after] = [Some(home()), Some(elsewhere())];
        assert_eq!(addresses(&change.allocation)[..2], [before.clone(), after.clone()]);
        assert_eq!(addresses(&change.allocation)[2..], [before, after]);
        let says: Vec<_> = change.events.iter().map(Event::type_name).collect();
        assert_eq!(says, ["shipment.readdressed.v1", "shipment.readdressed.v1", "stock.address_decided.v1"]);
        assert_eq!(change.events[2], decided(true, &[1]));
    }
}

#[test]
fn an_order_that_has_left_or_ended_refuses() {
    let gone = parcels([Stage::Dispatched, Stage::Delivered]).decide_address(&elsewhere(), 2).unwrap();
    assert_eq!(gone.events, [decided(false, &[1, 2])]);
    assert_eq!(addresses(&gone.allocation), [Some(home()), Some(home())]);
    for allocation in all_but(&["held", "expired", "committed"]) {
        let change = allocation.decide_address(&elsewhere(), 2).unwrap();
        assert_eq!((change.events, change.allocation.address), (vec![decided(false, &[])], None));
    }
}

#[test]
fn before_there_are_parcels_the_order_takes_it() {
    for allocation in [held(), committed(), reservation(State::Expired)] {
        let change = allocation.to(home()).decide_address(&elsewhere(), 2).unwrap();
        assert_eq!((change.allocation.address, change.events), (Some(elsewhere()), vec![decided(true, &[])]));
    }
}

#[test]
fn asked_for_what_is_known_it_is_answered_and_no_parcel_says_anything() {
    let once = parcels([Stage::Pending]).decide_address(&elsewhere(), 2).unwrap().allocation;
    assert_eq!(once.clone().decide_address(&elsewhere(), 3).unwrap().events, [decided(true, &[])]);
    assert_eq!(once.readdress(&elsewhere(), 3).unwrap().events, [], "order-svc repeats what was decided");
}

#[test]
fn an_older_change_heard_again_takes_nothing_back_and_is_not_answered() {
    let later = parcels([Stage::Pending]).decide_address(&elsewhere(), 4).unwrap().allocation;
    for sequence in [2, 4] {
        assert!(later.clone().decide_address(&home(), sequence).is_err());
        assert!(later.clone().readdress(&home(), sequence).is_err());
    }
}
