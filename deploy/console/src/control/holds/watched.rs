//! What the watch has seen, as the page shows it.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::services::query;

/// The rules of `quadrille audit`, by their numbers, and where their evidence is.
const RULES: [(&str, &str); 13] = [
    ("captured is 0 or the order's total, refunds never exceed it", "orders, payments"),
    ("the gateway's journal equals the ledger; one effect a key", "payments, gateway"),
    ("a cancelled order's net money is 0", "orders, payments, gateway"),
    ("movements add up to what is on hand, live holds to what is held", "orders, stock"),
    ("no hold past its expiry, none of an ended order", "orders, stock"),
    ("every accepted order is there, and every order ends", "every database"),
    ("every committed event is in its topic, and no other", "every database, topics"),
    ("sequences of a key are contiguous and rise", "topics"),
    ("each event was heard, and had its effect once", "every database, topics"),
    ("only legal transitions", "orders, topics"),
    ("one mail a fact and template, none untrue", "every database, topics"),
    ("no dead letters, no parked keys", "every database"),
    ("what is shipped is paid, what is back is refunded, no more", "orders, stock, payments"),
];

#[derive(Debug, Serialize)]
pub struct Watched {
    /// Whether there is a watch.
    is_there: bool,
    /// Why it can't be told what it has seen.
    trouble: Option<String>,
    headline: Headline,
    rules: Vec<Rule>,
    new: Looks,
    whole: Looks,
    /// For how many minutes an order is new.
    new_for: i64,
    next_at: Value,
}

/// All of it in one line.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Headline {
    text: String,
    kind: &'static str,
}

/// Looks at what is new, or at everything.
#[derive(Debug, Default, Serialize)]
struct Looks {
    looking_since: Value,
    /// Of how many ranges of orders how many are done with; none of them is known at first.
    ranges: i64,
    done: i64,
    events: i64,
    /// When the last look ended; null if there was none.
    ended_at: Value,
    seconds: String,
    placed_since: Value,
    stopped: Value,
    /// Why a look came to nothing after that one.
    trouble: Value,
    trouble_at: Value,
}

#[derive(Debug, Serialize)]
struct Rule {
    number: usize,
    text: String,
    needs: &'static str,
    new: Option<State>,
    whole: Option<State>,
}

/// How a rule was found.
#[derive(Debug, Serialize)]
struct State {
    word: &'static str,
    kind: &'static str,
    since: Value,
    figures: String,
    unchecked: Option<String>,
    findings: Vec<Finding>,
    more: i64,
}

/// Where a rule is broken.
#[derive(Debug, Serialize)]
struct Finding {
    of: String,
    what: String,
    /// Where one sees it.
    link: Option<String>,
}

impl Watched {
    /// Where nobody watches.
    pub fn none() -> Self {
        let headline = Headline { text: "Nobody watches.".to_owned(), kind: "" };
        Self { is_there: false, trouble: None, headline, ..Self::told(&Value::Null) }
    }

    /// What a watch has answered, or why it hasn't.
    pub fn of(answer: Result<Value, String>) -> Self {
        match answer {
            Ok(told) => Self::told(&told),
            Err(why) => {
                let headline = Headline { text: "Nobody can say just now whether all holds.".to_owned(), kind: "warn" };
                Self { trouble: Some(why), headline, ..Self::told(&Value::Null) }
            }
        }
    }

    fn told(told: &Value) -> Self {
        let rules: Vec<_> = (0..RULES.len()).map(|index| rule(index, told)).collect();
        Self {
            is_there: true,
            trouble: None,
            headline: headline(&rules),
            rules,
            new: looks(&told["new"]),
            whole: looks(&told["whole"]),
            new_for: told["new_for_seconds"].as_i64().unwrap_or(3_600) / 60,
            next_at: told["next_at"].clone(),
        }
    }
}

fn looks(told: &Value) -> Looks {
    let (last, progress) = (&told["last"], &told["progress"]);
    let count = |name: &str| progress[name].as_i64().unwrap_or_default();
    Looks {
        looking_since: told["looking_since"].clone(),
        ranges: count("ranges"),
        done: count("done"),
        events: count("events"),
        ended_at: last["ended_at"].clone(),
        seconds: last["seconds"].as_f64().map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
        placed_since: last["placed_since"].clone(),
        stopped: last["stopped"].clone(),
        trouble: told["trouble"]["why"].clone(),
        trouble_at: told["trouble"]["at"].clone(),
    }
}

fn rule(index: usize, told: &Value) -> Rule {
    let (text, needs) = RULES[index];
    let number = index + 1;
    let found = |place: &Value| {
        let rules = place["last"]["rules"].as_array()?;
        rules.iter().find(|rule| rule["number"].as_u64() == u64::try_from(number).ok()).map(state)
    };
    Rule { number, text: text.to_owned(), needs, new: found(&told["new"]), whole: found(&told["whole"]) }
}

fn state(rule: &Value) -> State {
    let (word, kind) = match rule["state"].as_str() {
        Some("holds") => ("holds", "good"),
        Some("broken") => ("broken", "bad"),
        Some("so_far") => ("holds so far", "note"),
        _ => ("could not be checked", "warn"),
    };
    let text = |name: &str| rule[name].as_str().map(str::to_owned);
    State {
        word,
        kind,
        since: rule["since"].clone(),
        figures: text("figures").unwrap_or_default(),
        unchecked: text("unchecked"),
        findings: rule["broken"].as_array().into_iter().flatten().map(finding).collect(),
        more: rule["more"].as_i64().unwrap_or_default(),
    }
}

fn finding(finding: &Value) -> Finding {
    let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let of = text("of");
    Finding { link: link(&of), what: text("what"), of }
}

/// Where one sees what a finding is of: `order 0199...`, `SKU TEA`, `customer c-1`.
fn link(of: &str) -> Option<String> {
    match of.split_once(' ')? {
        ("order", id) => Some(format!("/control/orders/{}", id.parse::<Uuid>().ok()?)),
        ("SKU" | "customer", name) => Some(format!("/control/orders?{}", query([("q", name)]))),
        _ => None,
    }
}

fn headline(rules: &[Rule]) -> Headline {
    fn of_new(rule: &Rule) -> Option<&State> {
        rule.new.as_ref()
    }
    fn of_whole(rule: &Rule) -> Option<&State> {
        rule.whole.as_ref()
    }
    let count = |of: fn(&Rule) -> Option<&State>, kind: &str| {
        rules.iter().filter(|rule| of(rule).is_some_and(|state| state.kind == kind)).count()
    };
    let (all, well) = (rules.len(), count(of_new, "good"));
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    let (text, kind) = if let broken @ 1.. = count(of_new, "bad") {
        (format!("{broken} of {all} rules {} broken.", are(broken)), "bad")
    } else if let broken @ 1.. = count(of_whole, "bad") {
        (format!("{broken} of {all} rules {} broken, by the last look at everything.", are(broken)), "bad")
    } else if rules.iter().all(|rule| rule.new.is_none()) {
        ("Nothing was looked at yet.".to_owned(), "note")
    } else if well == all {
        (format!("All {all} rules hold for what is new."), "good")
    } else {
        let text = format!("{well} of {all} rules hold for what is new; the others could not be checked to the end.");
        (text, "warn")
    };
    Headline { text, kind }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(new: impl Fn(u64) -> &'static str, whole: Option<&str>) -> Watched {
        let rule = |number: u64, state: &str| json!({"number": number, "state": state, "broken": [], "more": 0});
        let all =
            |state: &dyn Fn(u64) -> String| -> Vec<_> { (1..=13).map(|number| rule(number, &state(number))).collect() };
        let new = all(&|number| new(number).to_owned());
        let whole = whole.map(|whole| json!({"rules": all(&|_| whole.to_owned())}));
        Watched::of(Ok(json!({"new": {"last": {"rules": new}}, "whole": {"last": whole}})))
    }

    #[test]
    fn what_is_broken_is_told_before_what_could_not_be_checked_and_that_before_what_holds() {
        let lines = [
            told(|_| "holds", None),
            told(|_| "holds", Some("broken")),
            told(|number| if number == 2 { "unchecked" } else { "holds" }, Some("holds")),
            told(|number| if number == 2 { "broken" } else { "unchecked" }, None),
            Watched::of(Ok(json!({}))),
            Watched::of(Err("It does not answer.".to_owned())),
        ]
        .map(|watched| (watched.headline.kind, watched.headline.text));
        let expected = [
            ("good", "All 13 rules hold for what is new."),
            ("bad", "13 of 13 rules are broken, by the last look at everything."),
            ("warn", "12 of 13 rules hold for what is new; the others could not be checked to the end."),
            ("bad", "1 of 13 rules is broken."),
            ("note", "Nothing was looked at yet."),
            ("warn", "Nobody can say just now whether all holds."),
        ];
        assert_eq!(lines, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn a_finding_leads_to_what_it_is_of_and_a_hostile_one_nowhere_else() {
        let id = "0199a0b0-0000-7000-8000-000000000001";
        assert_eq!(link(&format!("order {id}")), Some(format!("/control/orders/{id}")));
        assert_eq!(link("SKU TEA&q=x"), Some("/control/orders?q=TEA%26q%3Dx".to_owned()));
        for of in ["order ../../sign-out", "order javascript:alert(1)", "key capture-7", "", "https://evil.example x"] {
            assert_eq!(link(of), None, "{of}");
        }
    }
}
