use shared_events::Topic;

/// The `ce_sequence` of the last event that was read from each topic. Numbers of different topics are never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LastSequences {
    pub stock: i64,
    pub payment: i64,
    pub shipment: i64,
}

impl LastSequences {
    /// Notes an event. Returns false if a newer one of its topic was read before.
    pub fn note(&mut self, topic: Topic, sequence: i64) -> bool {
        let last = match topic {
            Topic::Stock => &mut self.stock,
            Topic::Payments => &mut self.payment,
            Topic::Shipments => &mut self.shipment,
            Topic::Orders | Topic::Notifications | Topic::Products | Topic::Customers => return true,
        };
        let newer = sequence > *last;
        *last = sequence.max(*last);
        newer
    }
}
