//! PostgreSQL's log, where it has every statement with its parameters: what an order, or a look-up, made a service run.

use std::{fs, time::Duration};

use anyhow::Context;
use tokio::time::sleep;

use crate::stage::Stage;

/// One statement as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    backend: i32,
    pub sql: String,
    pub parameters: Vec<Option<String>>,
}

/// Everything that the server ran meanwhile, of whatever client.
pub async fn during<T>(
    stage: &Stage,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Vec<Logged>)> {
    let admin = stage.admin("postgres").await?;
    let before = fs::read_to_string(stage.postgres.log()).context("PostgreSQL's log")?.len();
    admin.batch_execute("alter system set log_statement = 'all'").await?;
    // sessions heed it before their next statement, once the signal has come
    admin.batch_execute("select pg_reload_conf(), pg_sleep(1)").await?;
    let done = work.await?;
    admin.batch_execute("alter system reset log_statement").await?;
    admin.batch_execute("select pg_reload_conf()").await?;
    sleep(Duration::from_millis(500)).await;
    let log = fs::read_to_string(stage.postgres.log()).context("PostgreSQL's log")?;
    Ok((done, parse(log.get(before..).unwrap_or_default())))
}

/// Everything that the log tells of statements, in its order.
fn parse(log: &str) -> Vec<Logged> {
    let mut found: Vec<Logged> = Vec::new();
    let mut continues = false;
    for line in log.lines() {
        if continues && line.starts_with('\t') {
            if let Some(last) = found.last_mut() {
                last.sql.push('\n');
                last.sql.push_str(&line[1..]); // as it was sent, without the log's own tab
            }
            continue;
        }
        continues = false;
        let Some((before, after)) = line.split_once("] ") else { continue };
        let Some(backend) = before.rsplit('[').next().and_then(|pid| pid.parse().ok()) else { continue };
        if let Some(told) = after.strip_prefix("LOG:  ") {
            let Some((how, sql)) = told.split_once(": ") else { continue };
            if how == "statement" || how.starts_with("execute ") {
                found.push(Logged { backend, sql: sql.to_owned(), parameters: Vec::new() });
                continues = true;
            }
        } else if let Some(told) = after.strip_prefix("DETAIL:  ")
            && let Some((_, parameters)) = told.split_once("arameters: ")
            && let Some(of) = found.iter_mut().rev().find(|logged| logged.backend == backend)
        {
            of.parameters = parse_parameters(parameters);
        }
    }
    found
}

/// `$1 = 'it''s', $2 = NULL`
fn parse_parameters(text: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            values.push(None);
            rest = value.strip_prefix("NULL").unwrap_or(value);
            continue;
        };
        let (mut ended, mut end) = (false, quoted.len());
        for (at, c) in quoted.char_indices() {
            match (ended, c) {
                (false, '\'') => ended = true,
                (true, '\'') => ended = false,
                (true, _) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let whole = &quoted[..end];
        values.push(Some(whole.strip_suffix('\'').unwrap_or(whole).replace("''", "'")));
        rest = &quoted[end..];
    }
    values
}

/// What the connection that wrote this order ran, from the end of what it did before to its commit.
pub fn of_order(logged: &[Logged], id: &str) -> anyhow::Result<Vec<Logged>> {
    let names_it = |statement: &&Logged| statement.parameters.iter().flatten().any(|value| value.contains(id));
    let backend = logged.iter().find(names_it).context("no logged statement names the order")?.backend;
    let own: Vec<_> = logged.iter().filter(|statement| statement.backend == backend).collect();
    let first = own.iter().position(names_it).context("it was found before")?;
    let is_end = |statement: &&Logged| statement.sql.trim().eq_ignore_ascii_case("commit");
    let begins = own[..first].iter().rposition(is_end).map_or(0, |end| end + 1);
    let ends = own[first..].iter().position(is_end).context("the order's transaction was not committed")?;
    Ok(own[begins..=first + ends].iter().map(|statement| (*statement).clone()).collect())
}

/// What each of so many requests of one kind ran: all that was run as often as they were asked, or several times as often, with
/// the parameters that it had in the middle.
pub fn of_each(logged: &[Logged], requests: usize) -> Vec<Logged> {
    let mut found: Vec<Logged> = Vec::new();
    for statement in logged {
        if !found.iter().any(|known| known.sql == statement.sql) {
            let all: Vec<_> = logged.iter().filter(|other| other.sql == statement.sql).collect();
            found.extend(std::iter::repeat_n(all[all.len() / 2].clone(), all.len() / requests));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "019ae000-1111-7222-8333-0123456789ab";

    #[test]
    fn a_placement_is_found_in_the_log_with_its_parameters() {
        let log = format!(
            "2026-11-29 10:00:00.000 UTC [7] LOG:  statement: COMMIT\n\
             2026-11-29 10:00:00.001 UTC [7] LOG:  statement: BEGIN\n\
             2026-11-29 10:00:00.001 UTC [8] LOG:  execute s4: select 1\n\
             2026-11-29 10:00:00.002 UTC [7] LOG:  execute s1: insert into orders\n\tvalues ($1, $2, $3)\n\
             2026-11-29 10:00:00.002 UTC [7] DETAIL:  parameters: $1 = '{ORDER}', $2 = NULL, $3 = 'it''s = ''x'', y'\n\
             2026-11-29 10:00:00.003 UTC [7] LOG:  statement: COMMIT\n\
             2026-11-29 10:00:00.004 UTC [7] LOG:  statement: BEGIN\n"
        );
        let found = of_order(&parse(&log), ORDER).unwrap();
        let statements: Vec<_> = found.iter().map(|logged| logged.sql.as_str()).collect();
        assert_eq!(statements, ["BEGIN", "insert into orders\nvalues ($1, $2, $3)", "COMMIT"]);
        let expected = [Some(ORDER.to_owned()), None, Some("it's = 'x', y".to_owned())];
        assert_eq!(found[1].parameters, expected);
    }

    #[test]
    fn what_each_of_several_requests_ran_is_told_from_what_ran_meanwhile() {
        let statement = |sql: &str, parameter: &str| Logged {
            backend: 7,
            sql: sql.to_owned(),
            parameters: vec![Some(parameter.to_owned())],
        };
        let request = |sku: &str| [statement("begin", ""), statement("select $1", sku), statement("select $1", sku)];
        let mut logged = ["A", "B", "C"].map(request).concat();
        logged.insert(4, statement("select 'timers'", ""));
        assert_eq!(of_each(&logged, 3), request("B"));
    }
}
