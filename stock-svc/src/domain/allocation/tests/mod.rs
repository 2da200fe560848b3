//! Every transition, allowed or refused, as given / when / then.

mod addresses;
mod calling_off;
mod holding;
mod shipping;
mod undoing;

use chrono::TimeDelta;
use shared_events::{ShipmentCancelled, ShipmentId, ShipmentLost, Shortage, Sku};

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

const PARCEL: ShipmentId = ShipmentId(uuid::Uuid::from_u128(5));

fn only(change: &Change) -> &Shipment {
    assert_eq!(change.allocation.shipments.len(), 1);
    &change.allocation.shipments[0]
}

fn parcel() -> NewParcel {
    NewParcel { id: PARCEL, at: at() }
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

fn reservation(state: State) -> Allocation {
    Allocation { reservation: Some(Reservation { state, lines: two_lines() }), ..Allocation::unheard(order()) }
}

fn held() -> Allocation {
    reservation(State::Held { expires_at: until() })
}

fn committed() -> Allocation {
    reservation(State::Committed)
}

fn with_shipment(stage: Stage) -> Allocation {
    let shipment = Shipment { stage, ..Shipment::create(parcel(), two_lines()) };
    Allocation { captured: true, shipments: vec![shipment], ..committed() }
}

struct Given(Allocation);
struct When(Result<Change, Refused>, Allocation);

fn given(allocation: Allocation) -> Given {
    Given(allocation)
}

impl Given {
    fn when(self, act: impl FnOnce(Allocation) -> Result<Change, Refused>) -> When {
        When(act(self.0.clone()), self.0)
    }
}

impl When {
    /// Checks the state after the decision, the movement, and the types of the events.
    fn then(self, state: &str, movement: Option<StockMovement>, says: &[&str]) -> Change {
        let change = self.0.expect("allowed");
        assert_eq!(change.allocation.state().map(State::name), Some(state));
        assert_eq!(change.movement.as_ref().map(|(movement, _)| *movement), movement);
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
        let stage = self.1.shipments.first().map_or("not created", |shipment| shipment.stage.name());
        assert_eq!((refused.what, refused.wanted, refused.state), ("shipment", wanted, stage));
    }
}

/// An allocation in each state except these.
fn all_but(except: &[&str]) -> Vec<Allocation> {
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
