use chrono::{DateTime, Utc};
use shared_events::{Address, LineText, Quantity, ShipmentId, Sku, StockLine};

use super::Refused;

/// A shipment: all lines of one order, or a part of them. Customers know it as a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shipment {
    pub id: ShipmentId,
    pub stage: Stage,
    pub lines: Vec<StockLine>,
    /// The delivery address. None once it is cancelled or the customer is forgotten, and for shipments of orders that are
    /// older than this field.
    pub address: Option<Address>,
    /// The carrier, once it was dispatched.
    pub carrier: Option<LineText>,
    /// The tracking number, once it was dispatched.
    pub tracking_number: Option<LineText>,
    pub created_at: DateTime<Utc>,
    pub packed_at: Option<DateTime<Utc>>,
    pub dispatched_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// The shipments that replace it, if it was cancelled because it was split.
    pub split_into: Vec<ShipmentId>,
    pub returned: Vec<StockLine>,
    /// When something last came back.
    pub returned_at: Option<DateTime<Utc>>,
    pub lost_at: Option<DateTime<Utc>>,
}

shared_events::named! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Stage: name {
        /// To be packed and sent.
        Pending = "pending",
        /// Packed, still in the warehouse.
        Packed = "packed",
        Dispatched = "dispatched",
        Delivered = "delivered",
        /// Called off or split before it left.
        Cancelled = "cancelled",
        /// All of it came back.
        Returned = "returned",
        /// It left and never arrived.
        Lost = "lost",
    }
}

impl Stage {
    /// Whether the shipment is still in the warehouse, so that it can be called off.
    pub const fn in_the_warehouse(self) -> bool {
        matches!(self, Stage::Pending | Stage::Packed)
    }

    /// Whether it was handed to a carrier, whatever happened to it since.
    pub const fn has_left(self) -> bool {
        matches!(self, Stage::Dispatched | Stage::Delivered | Stage::Returned | Stage::Lost)
    }
}

/// The id and the creation time of a shipment that a decision may create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewParcel {
    pub id: ShipmentId,
    /// The time of the decision.
    pub at: DateTime<Utc>,
}

impl Shipment {
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

    /// Whether it left with this carrier and tracking number, whatever happened to it since.
    pub fn has_left_as(&self, carrier: &LineText, tracking_number: &LineText) -> bool {
        self.stage.has_left()
            && self.carrier.as_ref() == Some(carrier)
            && self.tracking_number.as_ref() == Some(tracking_number)
    }

    /// Packs it. Fails unless it is pending.
    pub fn pack(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Pending => Ok(Shipment { stage: Stage::Packed, packed_at: Some(at), ..self }),
            _ => Err(self.refuses("packed")),
        }
    }

    /// Hands it to the carrier. Fails unless it is pending or packed.
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

    /// Corrects its carrier and tracking number. Fails unless it is dispatched: before that it has no number, and
    /// later nobody tracks it.
    pub fn correct_tracking(self, carrier: LineText, tracking: LineText) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Dispatched => Ok(Shipment { carrier: Some(carrier), tracking_number: Some(tracking), ..self }),
            _ => Err(self.refuses("given another tracking number")),
        }
    }

    /// Notes that it has arrived. Fails unless it is dispatched.
    pub fn deliver(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Dispatched => Ok(Shipment { stage: Stage::Delivered, delivered_at: Some(at), ..self }),
            _ => Err(self.refuses("delivered")),
        }
    }

    /// Gives it up for lost. Nothing of it comes back. Fails unless it is dispatched.
    pub fn lose(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        match self.stage {
            Stage::Dispatched => Ok(Shipment { stage: Stage::Lost, lost_at: Some(at), ..self }),
            _ => Err(self.refuses("lost")),
        }
    }

    /// Cancels it. Fails if it has left or was cancelled before.
    pub fn cancel(self, at: DateTime<Utc>) -> Result<Shipment, Refused> {
        if !self.stage.in_the_warehouse() {
            return Err(self.refuses("cancelled"));
        }
        Ok(Shipment { stage: Stage::Cancelled, address: None, cancelled_at: Some(at), ..self })
    }

    /// Whether it was called off, so that its stock was restocked. A split moves its stock to other shipments
    /// instead.
    pub fn was_called_off(&self) -> bool {
        self.stage == Stage::Cancelled && self.split_into.is_empty()
    }

    /// Splits it: it is cancelled and replaced by one shipment with these lines and one with the rest. Fails if it has
    /// left or was cancelled, if the lines exceed its contents, or if one of the two parts would be empty.
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

    /// Takes lines back: some or all of a shipment that arrived, or the whole of one that did not. Fails if it has not
    /// left, or if the lines exceed what is left of its contents.
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

fn pieces(lines: &[StockLine], sku: &Sku) -> i64 {
    lines.iter().filter(|line| line.sku == *sku).map(|line| i64::from(line.quantity)).sum()
}
