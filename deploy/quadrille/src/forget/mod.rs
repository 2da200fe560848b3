//! `quadrille forget CUSTOMER`: takes a person out of everything that the shop keeps, and says what is left and until when.
//!
//! order-svc is asked to forget the customer and every service hears of it by an event. Before and after that the person's
//! name, mail, phone and street are looked for in every table, every topic and the mail folder, so what is left is what was
//! found and not what was expected.

mod mails;
mod person;
mod places;
mod report;
mod shop;
mod topics;
mod wait;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use shared_events::CustomerId;

use self::person::Person;
use self::places::{Found, Place};
use self::report::{Gone, Report};
use self::shop::Shop;
use crate::audit::SourceArgs;

/// Who is to be forgotten, and where.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The customer's id, or a guest's.
    customer: CustomerId,
    /// Only says what there is of the person, and where.
    #[arg(long)]
    dry_run: bool,
    /// What else to look for: a name, mail, phone or street that the shop may not know any more.
    #[arg(long = "named", value_name = "WORDS")]
    named: Vec<String>,
    /// How many seconds the services may take to hear of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// An operator's token, where it isn't a local run.
    #[arg(long, env = "OPERATOR", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    sources: SourceArgs,
}

/// Where the person is named, and how often.
type Places = BTreeMap<Place, Found>;

/// Forgets and prints what was found, what was taken and what is left. Fails if something is left that somebody has to
/// do, or if it can't look everywhere. It can be run again.
pub async fn forget(arguments: &ForgetArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (shop, customer) = (Shop::of(arguments)?, arguments.customer.as_str());
    let mut person = topics::learn(&shop, Person::of(&shop, customer).await?).await?;
    arguments.named.iter().for_each(|word| person.words.add(word));
    let (person, before) = search(&shop, person).await?;
    if arguments.dry_run {
        return Ok(report::found(customer, &before, out)?);
    }
    // before the phone numbers are forgotten, so a run that breaks off leaves none that the next doesn't know
    shop.delete_messages(person.contacts.iter().chain(&person.ended)).await?;
    let taken = shop.forget(customer).await?;
    let unheard = wait::until_heard(&shop, Duration::from_secs(arguments.wait)).await?;
    // which orders go on may have changed meanwhile; the words may be known from nowhere else by now
    let (words, contacts) = (person.words, person.contacts);
    let mut person = Person::of(&shop, customer).await?;
    person.words = words;
    mails::delete(&shop, &person)?;
    shop.delete_messages(contacts.iter().chain(&person.ended)).await?;
    let (person, after) = search(&shop, person).await?;
    let gone = gone(&shop, &after).await?;
    let (going_on, blind) = (person.going_on.len(), person.is_unknown());
    let report = Report { customer, taken, going_on, before, after, gone, unheard, blind, local: shop.is_local() };
    report.print(out)?;
    report.verdict()
}

async fn search(shop: &Shop, person: Person) -> anyhow::Result<(Person, Places)> {
    let mut places = places::search(shop, &person).await?;
    places.extend(mails::search(shop, &person)?);
    let (person, found) = topics::search(shop, person).await?;
    places.extend(found);
    Ok((person, places))
}

/// When what is left will be gone by itself.
async fn gone(shop: &Shop, after: &Places) -> anyhow::Result<BTreeMap<Place, Gone>> {
    let mut gone = places::gone(shop, after).await?;
    gone.extend(topics::gone(shop, after, &gone).await?);
    Ok(gone)
}
