use chrono::{DateTime, Utc};
use shared_events::{Address, LineText, Quantity, ShipmentId, Sku, StockLine};

use super::Refused;

/// A parcel: all lines of one order, or a part of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shipment {
    /// Names it.
    pub id: ShipmentId,
    /// Where it is.
    pub stage: Stage,
    /// What is in it.
    pub lines: Vec<StockLine>,
    /// Where it goes, or went; none once it is called off, and for parcels of orders that were placed before this was kept.
    pub address: Option<Address>,
    /// Who carries it; known once it was dispatched.
    pub carrier: Option<LineText>,
    /// Where to follow it; known once it was dispatched.
    pub tracking_number: Option<LineText>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was packed, which may be skipped.
    pub packed_at: Option<DateTime<Utc>>,
    /// When it left.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// When it arrived.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was called off.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// The parcels that took its place, if it was called off because it was split.
    pub split_into: Vec<ShipmentId>,
    /// What of it came back.
    pub returned: Vec<StockLine>,
    /// When something last came back.
    pub returned_at: Option<DateTime<Utc>>,
    /// When it was given up for lost.
    pub lost_at: Option<DateTime<Utc>>,
}

/// Where a parcel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// To be packed and sent.
    Pending,
    /// In its box, still in the warehouse.
    Packed,
    /// With the carrier.
    Dispatched,
    /// With the customer.
    Delivered,
    /// Called off before it left.
    Cancelled,
    /// Back again, all of it.
    Returned,
    /// It left and never arrived.
    Lost,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Stage; 7] = [
        Stage::Pending,
        Stage::Packed,
        Stage::Dispatched,
        Stage::Delivered,
        Stage::Cancelled,
        Stage::Returned,
        Stage::Lost,
    ];

    /// For tables, answers and refusals.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::Packed => "packed",
            Stage::Dispatched => "dispatched",
            Stage::Delivered => "delivered",
            Stage::Cancelled => "cancelled",
            Stage::Returned => "returned",
            Stage::Lost => "lost",
        }
    }

    /// The stage of that name.
    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Whether the parcel can still be called off.
    pub const fn in_the_warehouse(self) -> bool {
        matches!(self, Stage::Pending | Stage::Packed)
    }

    /// Whether the parcel was handed to a carrier, whatever became of it since.
    pub const fn has_left(self) -> bool {
        matches!(self, Stage::Dispatched | Stage::Delivered | Stage::Returned | Stage::Lost)
    }
}

/// What a parcel is called and when it is made, should a decision make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewParcel {
    /// Its name.
    pub id: ShipmentId,
    /// The time of the decision.
    pub at: DateTime<Utc>,
}

impl Shipment {
    /// A parcel of `lines`, to be packed and sent.
    pub fn create(NewParcel { id, at }: NewParcel, lines: Vec<StockLine>) -> Shipment {
        Shipment {
            id,
            stage: Stage::Pending,
            lines,
            address: None,
            carrier: None,
            tracking_number: None,
            created_at: at,
            packed_at: None,
            dispatched_at: None,
            delivered_at: None,
            cancelled_at: None,
            split_into: Vec::new(),
            returned: Vec::new(),
            returned_at: None,
            lost_at: None,
        }
    }

    /// Whether it has left with this carrier under this number, whatever became of it since.
    pub fn has_left_as(&self, carrier: &LineText, tracking_number: &LineText) -> bool {
        self.stage.has_left()
            && self.carrier.as_ref() == Some(carrier)
            && self.tracking_number.as_ref() == Some(tracking_number)
    }

    /// Puts it in its box.
    ///
    /// # Errors
    /// Unless it is pending.
    pub fn pack(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Pending => Ok(Shipment { stage: Stage::Packed, packed_at: Some(at), ..self }),
            _ => Err(self.refuses("packed")),
        }
    }

    /// Hands it to the carrier.
    ///
    /// # Errors
    /// Unless it is pending or packed.
    pub fn dispatch(self, carrier: LineText, tracking: LineText, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        if !self.stage.in_the_warehouse() {
            return Err(self.refuses("dispatched"));
        }
        Ok(Shipment {
            stage: Stage::Dispatched,
            carrier: Some(carrier),
            tracking_number: Some(tracking),
            dispatched_at: Some(at),
            ..self
        })
    }

    /// It is on its way with this carrier, under this number, and not as was said before.
    ///
    /// # Errors
    /// Unless it is dispatched: before, it has no number; afterwards nobody follows it any more.
    pub fn correct_tracking(self, carrier: LineText, tracking: LineText) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Dispatched => Ok(Shipment { carrier: Some(carrier), tracking_number: Some(tracking), ..self }),
            _ => Err(self.refuses("given another tracking number")),
        }
    }

    /// Notes that it has arrived.
    ///
    /// # Errors
    /// Unless it is dispatched.
    pub fn deliver(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Dispatched => Ok(Shipment { stage: Stage::Delivered, delivered_at: Some(at), ..self }),
            _ => Err(self.refuses("delivered")),
        }
    }

    /// Gives it up for lost. Nothing of it comes back.
    ///
    /// # Errors
    /// Unless it is dispatched.
    pub fn lose(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Dispatched => Ok(Shipment { stage: Stage::Lost, lost_at: Some(at), ..self }),
            _ => Err(self.refuses("lost")),
        }
    }

    /// Calls it off.
    ///
    /// # Errors
    /// Once it has left, or when it was called off before.
    pub fn cancel(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        if !self.stage.in_the_warehouse() {
            return Err(self.refuses("cancelled"));
        }
        Ok(Shipment { stage: Stage::Cancelled, address: None, cancelled_at: Some(at), ..self })
    }

    /// Whether its goods went back to the shelf before it left, rather than into the parcels that it was split into.
    pub fn was_called_off(&self) -> bool {
        self.stage == Stage::Cancelled && self.split_into.is_empty()
    }

    /// Takes these lines out into a parcel of their own: calls this one off, for one with them and one with the rest.
    ///
    /// # Errors
    /// Once it has left or was called off; for pieces that aren't in it; when nothing would be left.
    pub fn split(
        self,
        lines: &[StockLine],
        [part, rest]: [NewParcel; 2],
        at: DateTime<Utc>,
    ) -> Result<(Shipment, [Shipment; 2]), Refused> {
        if !self.stage.in_the_warehouse() {
            return Err(self.refuses("split"));
        }
        if lines.iter().any(|line| pieces(lines, &line.sku) > pieces(&self.lines, &line.sku)) {
            return Err(Refused { what: "line", wanted: "taken out", state: "not in the parcel" });
        }
        let left = |line: &StockLine| {
            let quantity = Quantity::try_from(i64::from(line.quantity) - pieces(lines, &line.sku)).ok()?;
            Some(StockLine { sku: line.sku.clone(), quantity })
        };
        let rest_of_it: Vec<StockLine> = self.lines.iter().filter_map(left).collect();
        if lines.is_empty() || rest_of_it.is_empty() {
            return Err(Refused { what: "parcel", wanted: "split", state: "to be all in one part" });
        }
        let address = || self.address.clone();
        let parts = [(part, lines.to_vec()), (rest, rest_of_it)]
            .map(|(part, lines)| Shipment { address: address(), ..Shipment::create(part, lines) });
        let split_into = parts.iter().map(|part| part.id).collect();
        Ok((Shipment { stage: Stage::Cancelled, address: None, cancelled_at: Some(at), split_into, ..self }, parts))
    }

    /// Takes these lines back: some or all of what arrived, or the whole parcel when it never did.
    ///
    /// # Errors
    /// Before it left, and for pieces that were never in it or are back already.
    pub fn take_back(mut self, lines: &[StockLine], at: DateTime<Utc>) -> Result<Shipment, Refused> {
        if !matches!(self.stage, Stage::Dispatched | Stage::Delivered) {
            return Err(self.refuses("returned"));
        }
        self.returned.extend_from_slice(lines);
        if lines.iter().any(|line| pieces(&self.returned, &line.sku) > pieces(&self.lines, &line.sku)) {
            return Err(Refused { what: "line", wanted: "returned", state: "not in the parcel, or back already" });
        }
        let all = self.lines.iter().all(|line| pieces(&self.returned, &line.sku) == i64::from(line.quantity));
        match self.stage {
            Stage::Dispatched if !all => {
                Err(Refused { what: "parcel", wanted: "returned in part", state: "still on its way" })
            }
            stage => {
                let stage = if all { Stage::Returned } else { stage };
                Ok(Shipment { stage, returned_at: Some(at), ..self })
            }
        }
    }

    pub(super) fn refuses(&self, wanted: &'static str) -> Refused {
        Refused { what: "shipment", wanted, state: self.stage.name() }
    }
}

/// How many pieces of a SKU these lines have.
fn pieces(lines: &[StockLine], sku: &Sku) -> i64 {
    lines.iter().filter(|line| line.sku == *sku).map(|line| i64::from(line.quantity)).sum()
}
