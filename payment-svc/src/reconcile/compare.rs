use std::collections::BTreeMap;

use shared_events::{OrderId, PaymentId};

use super::{Difference, Reconciliation, asked};
use crate::{
    domain::Payment,
    gateway::{GatewayJournal, JournalTotals, PaymentGateway},
    store::{
        ledger::{self, Entry},
        payments,
    },
};

/// Amounts by operation: `authorise`, `capture`, `void`, and each refund by its id.
type Charges = BTreeMap<String, i64>;

impl<G: PaymentGateway + GatewayJournal> Reconciliation<G> {
    /// What the two sides differ on, right now.
    pub(super) async fn compare(&self, order: OrderId) -> anyhow::Result<Vec<Difference>> {
        let (payment, entries, under_way) = self.ours(order).await?;
        let theirs = match &payment.intent {
            Some(intent) => in_their_journal(&asked(self.gateway.totals(intent.clone()).await)?),
            None => Charges::new(),
        };
        let found = differences(&in_our_ledger(&entries), &theirs);
        let difference = |(operation, ledger, gateway)| Difference {
            order: order.to_string(),
            payment: Some(payment.id),
            operation,
            ledger,
            gateway,
            under_way: under_way.clone(),
        };
        Ok(found.into_iter().map(difference).collect())
    }

    pub(super) async fn ours(&self, order: OrderId) -> anyhow::Result<(Payment, Vec<Entry>, Option<String>)> {
        let mut conn = self.pool.get().await?;
        let (payment, under_way) = payments::read_with_call(&mut conn, order).await?;
        let entries = ledger::of(&conn, payment.id).await?;
        Ok((payment, entries, under_way))
    }

    /// What an intent moved that no payment has as its own.
    pub(super) async fn stranger(&self, intent: &str, order: Option<String>) -> anyhow::Result<Vec<Difference>> {
        let theirs = in_their_journal(&asked(self.gateway.totals(intent.to_owned()).await)?);
        let order = order.unwrap_or_else(|| "none".to_owned());
        let payment = self.payment_of(&order).await?;
        let difference = |(operation, gateway)| Difference {
            order: order.clone(),
            payment,
            operation: format!("{operation} of the intent {intent}, which no payment has"),
            ledger: 0,
            gateway,
            under_way: None,
        };
        Ok(theirs.into_iter().map(difference).collect())
    }

    async fn payment_of(&self, order: &str) -> anyhow::Result<Option<PaymentId>> {
        let Ok(order) = order.parse::<OrderId>() else { return Ok(None) };
        let mut conn = self.pool.get().await?;
        let found = payments::list(&mut conn, Some(order), None, None, 1).await?;
        Ok(found.first().map(|payment| PaymentId(payment.payment_id)))
    }
}

fn in_our_ledger(entries: &[Entry]) -> Charges {
    let mut charges = Charges::new();
    for entry in entries.iter().filter(|entry| entry.operation != ledger::OUTSIDE) {
        let operation = entry.refund().map_or_else(|| entry.operation.clone(), |id| format!("refund {id}"));
        let came_back = entry.operation == ledger::REVERSAL;
        *charges.entry(operation).or_default() += if came_back { -entry.amount } else { entry.amount };
    }
    charges
}

fn in_their_journal(totals: &JournalTotals) -> Charges {
    let whole = [("authorise", totals.authorised), ("capture", totals.captured), ("void", totals.voided)];
    let mut charges: Charges = whole.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect();
    for refund in &totals.given_back {
        let id = refund.ours.map_or_else(|| refund.id.clone(), |ours| ours.to_string());
        *charges.entry(format!("refund {id}")).or_default() += refund.amount;
    }
    charges.retain(|_, amount| *amount != 0);
    charges
}

/// What is not the same on both sides: the operation, ours, theirs.
fn differences(ours: &Charges, theirs: &Charges) -> Vec<(String, i64, i64)> {
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let amount = |side: &Charges, name: &String| side.get(name).copied().unwrap_or(0);
    let both = names.into_iter().map(|name| (name.clone(), amount(ours, name), amount(theirs, name)));
    both.filter(|(_, ours, theirs)| ours != theirs).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shared_events::RefundId;

    use super::*;
    use crate::gateway::GivenBack;

    fn entry(operation: &str, amount: i64, key: &str) -> Entry {
        Entry {
            operation: operation.to_owned(),
            amount,
            currency: "EUR".to_owned(),
            key: key.to_owned(),
            debit: String::new(),
            credit: String::new(),
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_charge_is_compared_and_each_refund_by_its_own_id() {
        let (ours, another) = (RefundId::new(), RefundId::new());
        let ledger = in_our_ledger(&[
            entry("authorise", 2598, "p:authorise:1"),
            entry("capture", 2598, "p:capture:1"),
            entry("refund", 598, &ours.to_string()),
            entry("refund", 100, &another.to_string()),
            entry(ledger::OUTSIDE, 70, &format!("{}:outside", RefundId::new())),
        ]);
        let refund = |id: &str, ours, amount| GivenBack { id: id.to_owned(), ours, amount, failed: None };
        let totals = JournalTotals {
            authorised: 2598,
            captured: 2598,
            voided: 0,
            given_back: vec![refund("re_1", Some(ours), 598), refund("re_2", None, 50)],
        };
        let mut expected = vec![(format!("refund {another}"), 100, 0), ("refund re_2".to_owned(), 0, 50)];
        expected.sort();
        assert_eq!(differences(&ledger, &in_their_journal(&totals)), expected);
    }

    #[test]
    fn two_sides_on_which_nothing_moved_are_the_same() {
        assert!(differences(&in_our_ledger(&[]), &in_their_journal(&JournalTotals::default())).is_empty());
    }
}
