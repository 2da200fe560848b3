//! The curls of the README and of its tour, typed into one shell.

use std::time::Duration;

use anyhow::{bail, ensure};
use quadrille::login::Person;

use super::super::readme::{Block, Section};
use super::super::shell::last_lines;
use super::super::stack::Stack;

/// In the order in which a newcomer comes by.
const SECTIONS: [(&str, &str); 2] =
    [("README.md", "## Ten curls"), ("docs/TOUR.md", "## What else can happen to an order")];
const PATIENCE: Duration = Duration::from_secs(180);
/// Printed between two blocks.
const END: &str = "=== end of the block in";

/// A block that starts programs from the source is about the shop without containers.
fn is_here(block: &Block) -> bool {
    !block.text.contains("cargo run")
}

/// The block without the line that logs in from the source: the tokens are in the environment already.
fn without_logins(block: &str) -> String {
    block.lines().filter(|line| !line.starts_with("eval \"$(cargo run")).flat_map(|line| [line, "\n"]).collect()
}

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let mut blocks = Vec::new();
    for (file, heading) in SECTIONS {
        let found = Section::read(&stack.root, file, heading)?.blocks;
        let found = found.into_iter().map(|block| Block { text: without_logins(&block.text), ..block });
        blocks.extend(found.map(|block| (format!("{file} line {}", block.line), block)));
    }
    let (here, elsewhere): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|(_, block)| is_here(block));
    let script: String =
        here.iter().map(|(place, block)| format!("{}\necho \"{END} {place}\"\n", block.text)).collect();
    let people = [("CUSTOMER", Person::Ann), ("STAFF", Person::Sam), ("OPERATOR", Person::Olga)];
    let mut tokens = Vec::new();
    for (name, person) in people {
        tokens.push((name, stack.token(person).await?));
    }
    let tokens: Vec<_> = tokens.iter().map(|(name, token)| (*name, token.as_str())).collect();
    let said = stack.shell.script(&script, &tokens, PATIENCE).await?.ok("the curls")?;
    let mut rest = said.as_str();
    let mut waited = 0;
    for (place, block) in &here {
        let mark = format!("{END} {place}\n");
        let Some((answer, after)) = rest.split_once(&mark) else { bail!("{place}: not run") };
        rest = after;
        for (field, value) in awaited(&block.text) {
            ensure!(
                answer.contains(&format!("\"{field}\":\"{value}\"")),
                "{place}: the order's {field} never became {value}: {}",
                last_lines(answer, 3)
            );
            waited += 1;
        }
        ensure!(!answer.contains("urn:problem"), "{place}: {}", last_lines(answer, 3));
    }
    ensure!(waited > 0, "no block waits for an order");
    Ok(format!(
        "{} blocks run as written, {waited} orders became what they should; {} about the shop without containers left out",
        here.len(),
        elsewhere.len()
    ))
}

/// What the block's orders are waited for to show: `becomes $order FIELD VALUE`.
fn awaited(block: &str) -> Vec<(&str, &str)> {
    let after = block.match_indices("becomes $order ").filter_map(|(at, found)| block.get(at + found.len()..));
    after
        .filter_map(|rest| {
            let mut words = rest.split(|char: char| !char.is_ascii_lowercase() && char != '_');
            Some((words.next()?, words.next()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_logs_in_from_the_source_is_run_without_that_and_one_that_starts_a_shop_is_not() {
        let of = |text: &str| Block { line: 1, text: without_logins(text) };
        let block = of("eval \"$(cargo run -q -- login)\"\nbuy() { :; }\n");
        assert!(is_here(&block));
        assert_eq!(block.text, "buy() { :; }\n");
        assert!(!is_here(&of("cargo run -- demo\n")));
    }

    #[test]
    fn what_an_order_must_show_is_taken_from_the_block() {
        let block = "order=$(buy TEA 2 pm_card_visa); becomes $order shipment created\nbecomes $order status completed; sleep 1";
        assert_eq!(awaited(block), [("shipment", "created"), ("status", "completed")]);
        assert!(awaited("becomes() { echo; }").is_empty());
    }
}
