//! What was found, what was taken, what is left and until when.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};

use super::Places;
use super::places::{ARCHIVE, Found, Place};
use super::shop::{Account, Taken};
use crate::table::{aligned, line};

/// When what is left will be gone by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gone {
    /// By then, and by what.
    By(DateTime<Utc>, &'static str),
    /// When the embedded broker ends.
    WithTheRun,
    /// Never by itself, and why.
    Never(&'static str),
}

pub(super) struct Report<'a> {
    pub customer: &'a str,
    pub taken: Taken,
    /// How many orders go on.
    pub going_on: usize,
    pub before: Places,
    pub after: Places,
    pub gone: BTreeMap<Place, Gone>,
    /// Who has not heard of it in time.
    pub unheard: Vec<String>,
    /// Whether there are orders, and nothing to look for.
    pub blind: bool,
    /// Whether the sandboxes are where this program can look.
    pub local: bool,
}

/// What there is of a person.
pub(super) fn found(customer: &str, places: &Places, out: &mut impl Write) -> io::Result<()> {
    let named: Vec<_> = places.iter().filter(|(_, found)| found.of_the_person() > 0).collect();
    if named.is_empty() {
        return writeln!(out, "nothing tells of {customer}");
    }
    let mut rows = vec![line(["PLACE", "FOUND"])];
    rows.extend(named.iter().map(|(place, found)| line([&place.to_string(), &found.of_the_person().to_string()])));
    aligned(&rows, out)?;
    namesakes(places, out)
}

/// Others may have the same name or live in the same house.
fn namesakes(places: &Places, out: &mut impl Write) -> io::Result<()> {
    let others: Vec<_> = places.iter().filter(|(_, found)| found.others > 0).collect();
    if others.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = others.iter().map(|(place, found)| format!("{place} {}", found.others)).collect();
    writeln!(
        out,
        "\nThe same words, with no id of this customer or of their orders, so they are taken for somebody else's: {}.",
        list.join(", ")
    )
}

impl Report<'_> {
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Taken { profile, orders, account } = &self.taken;
        let account = account.map_or(String::new(), |Account { accounts, sessions }| {
            format!(", {accounts} accounts with {sessions} sessions")
        });
        let profile = if *profile { "a profile, " } else { "" };
        writeln!(out, "{} is forgotten: {profile}{orders} orders{account}\n", self.customer)?;
        let mut rows = vec![line(["PLACE", "FOUND", "LEFT", "UNTIL"])];
        let places = self.before.keys().chain(self.after.keys()).collect::<std::collections::BTreeSet<_>>();
        for place in places {
            let count = |places: &Places| places.get(place).copied().unwrap_or_default().of_the_person();
            let (found, left) = (count(&self.before), count(&self.after));
            if found + left > 0 {
                rows.push(line([&place.to_string(), &found.to_string(), &left.to_string(), &self.until(place)]));
            }
        }
        if rows.len() > 1 {
            aligned(&rows, out)?;
        } else {
            let nothing = match self.blind {
                true => "nothing was looked for: it isn't known any more what the person was called",
                false => "nothing else tells of the person, as far as it is known what they were called",
            };
            writeln!(out, "{nothing}")?;
        }
        namesakes(&self.after, out)?;
        self.rest(out)
    }

    fn until(&self, place: &Place) -> String {
        let found = self.after.get(place).copied().unwrap_or_default();
        if found.of_the_person() == 0 {
            return String::new();
        }
        let by_itself = match self.gone.get(place) {
            // the day after is sure to be late enough
            Some(Gone::By(day, by)) => Some(format!("{} ({by})", (*day + TimeDelta::days(1)).format("%Y-%m-%d"))),
            Some(Gone::WithTheRun) => Some("this run ends".to_owned()),
            Some(Gone::Never(_)) | None => None,
        };
        let by_hand = by_hand(place, found, self.gone.get(place)).map(|what| format!("somebody does: {what}"));
        let on = (found.going_on > 0 && by_itself.is_none())
            .then(|| "its order has ended, and this is run again".to_owned());
        by_itself.into_iter().chain(by_hand).chain(on).collect::<Vec<_>>().join("; ")
    }

    fn rest(&self, out: &mut impl Write) -> io::Result<()> {
        let mut left = vec![format!(
            "The id {} stays with orders, payments and the ledger, which are kept without the person.",
            self.customer
        )];
        left.push(match self.taken.account {
            Some(_) => "Tokens of the account are good for ten minutes more.".to_owned(),
            None => "An account at your issuer (AUTH_ISSUER) is that issuer's: delete it there.".to_owned(),
        });
        if !self.local {
            left.push(
                "The databases of the sandboxes and the mails of a mail catcher (Mailpit) weren't looked through: delete there what \
                 names the person."
                    .to_owned(),
            );
        }
        left.push("Backups have the person until you let go of them: whoever restores one runs this again.".to_owned());
        left.push(
            "Mails that have left are in mailboxes and in the mail server's log; carriers and the payment gateway have what \
             they were told."
                .to_owned(),
        );
        writeln!(out)?;
        left.iter().try_for_each(|line| writeln!(out, "{line}"))
    }

    /// Fails if somebody has to do something.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let todo = self.todo();
        if todo.is_empty() { Ok(()) } else { bail!("something is left to do: {}", todo.join("; ")) }
    }

    fn todo(&self) -> Vec<String> {
        let mut todo = self.unheard.clone();
        if !todo.is_empty() {
            todo.push("run this again once they have".to_owned());
        }
        if self.blind {
            todo.push(
                "there are orders that have ended, but nothing tells any more what the person was called: to search, run \
                 this again with --named"
                    .to_owned(),
            );
        }
        if self.going_on > 0 {
            todo.push(format!("{} orders go on: run this again once they have ended", self.going_on));
        }
        for (place, found) in &self.after {
            todo.extend(by_hand(place, *found, self.gone.get(place)).map(|what| format!("{place}: {what}")));
        }
        todo
    }
}

/// What somebody has to do about a place; nothing if it will be gone by itself, or once orders have ended.
fn by_hand(place: &Place, found: Found, gone: Option<&Gone>) -> Option<String> {
    if found.of_the_person() == 0 {
        return None;
    }
    match (place, gone) {
        (_, Some(Gone::By(..) | Gone::WithTheRun)) => None,
        (_, Some(Gone::Never(why))) => Some((*why).to_owned()),
        _ if found.person == 0 => None,
        (Place::Table { table, .. }, _) => Some(
            match table.as_str() {
                "dead_letters" => "replay or discard them (quadrille dead-letters), then run this again",
                "outbox_parked" => "retry or discard them (outbox-relay parked), then run this again",
                "outbox" => "they are about to be published: run this again",
                ARCHIVE => "its retention isn't known",
                _ => "it was not taken: look why",
            }
            .to_owned(),
        ),
        (Place::Mails | Place::Topic(_), _) => Some("it was not taken: look why".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Place {
        Place::Table { database: "order_svc".to_owned(), table: name.to_owned() }
    }

    fn found(person: u64, going_on: u64) -> Found {
        Found { person, going_on, ..Found::default() }
    }

    fn report(after: Places, gone: BTreeMap<Place, Gone>) -> Report<'static> {
        Report {
            customer: "c-7",
            taken: Taken { profile: true, orders: 2, account: Some(Account { accounts: 1, sessions: 3 }) },
            going_on: 0,
            before: Places::from([(table("orders"), found(2, 0))]),
            after,
            gone,
            unheard: vec![],
            blind: false,
            local: true,
        }
    }

    fn printed(report: &Report<'_>) -> String {
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_has_a_day_is_named_with_it_and_needs_nobody() {
        let topic = Place::Topic("orders.v1".to_owned());
        let after = Places::from([(topic.clone(), found(4, 0))]);
        let report = report(after, BTreeMap::from([(topic, Gone::By(DateTime::UNIX_EPOCH, "its retention"))]));
        let printed = printed(&report);
        assert!(
            printed.starts_with("c-7 is forgotten: a profile, 2 orders, 1 accounts with 3 sessions\n"),
            "{printed}"
        );
        assert!(printed.contains("order_svc.orders      2     0"), "{printed}");
        assert!(printed.contains("1970-01-02 (its retention)"), "{printed}");
        report.verdict().unwrap();
    }

    #[test]
    fn what_somebody_has_to_do_is_named_and_fails() {
        let topic = Place::Topic("customers.v1".to_owned());
        let after = Places::from([
            (table("dead_letters"), found(1, 0)),
            (table("shipments"), found(1, 0)),
            (topic.clone(), found(1, 0)),
        ]);
        let gone = BTreeMap::from([(topic, Gone::Never("it keeps everything"))]);
        let mut report = report(after, gone);
        report.unheard = vec!["stock-svc has 3 events to hear".to_owned()];
        report.going_on = 1;
        let todo = report.verdict().unwrap_err().to_string();
        for part in ["stock-svc has 3", "1 orders go on", "dead-letters", "order_svc.shipments: it was not", "it keeps"]
        {
            assert!(todo.contains(part), "{part}: {todo}");
        }
    }

    #[test]
    fn what_an_order_that_goes_on_needs_is_named_and_is_no_fault() {
        let report = report(Places::from([(table("orders"), found(0, 1))]), BTreeMap::new());
        assert!(printed(&report).contains("its order has ended, and this is run again"));
        assert_eq!(report.todo(), Vec::<String>::new());
    }

    #[test]
    fn whoever_has_the_same_name_is_counted_apart() {
        let mut places = Places::from([(table("orders"), Found { others: 5, ..Found::default() })]);
        let mut out = Vec::new();
        super::found("c-7", &places, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "nothing tells of c-7\n");
        places.insert(table("shipments"), found(1, 0));
        let mut out = Vec::new();
        super::found("c-7", &places, &mut out).unwrap();
        let told = String::from_utf8(out).unwrap();
        assert!(told.contains("order_svc.shipments      1") && told.contains("order_svc.orders 5."), "{told}");
        report(places, BTreeMap::new()).verdict().unwrap_err();
    }
}
