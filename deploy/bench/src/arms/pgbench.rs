//! The limit of placing: what order-svc sends to PostgreSQL for an order, sent by pgbench. The statements are taken from the
//! server's log while orders are placed, so they are those that order-svc runs today. What differs from order to order, the
//! UUIDs in the parameters, is made anew by pgbench for each transaction.

use std::{collections::BTreeMap, fmt::Write, fs, time::Duration};

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio_postgres::Client;

use super::parameter_types::Proxy;
use crate::{
    http::Connection,
    shop::{self, SKUS},
    stage::{Program, Stage},
};

/// Orders that are placed to see what placing runs; the last one is taken, when all is prepared.
pub const SAMPLES: usize = 20;
const DATABASE: &str = "placed_by_pgbench";

/// What pgbench runs.
pub struct Script {
    text: String,
    /// Texts of parameters, by name: pgbench sends them as parameters too.
    variables: BTreeMap<String, String>,
}

/// One statement as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Logged {
    backend: i32,
    sql: String,
    parameters: Vec<Option<String>>,
}

impl Script {
    /// Places some orders, and takes what the last of them ran. The order-svc that is asked speaks with PostgreSQL through a
    /// proxy, and ends when that is done.
    pub async fn of_placing(stage: &Stage) -> anyhow::Result<Self> {
        let proxy = Proxy::start(stage.postgres.port()).await?;
        let direct = stage.postgres.url(Program::OrderSvc.database());
        let port = |port: u16| format!("127.0.0.1:{port}/");
        let through = direct.replace(&port(stage.postgres.port()), &port(proxy.port));
        let running = stage.start(Program::OrderSvc, &[("DATABASE_URL", through)]).await?;
        let admin = stage.admin("postgres").await?;
        let mut orders = Connection::open(running.port).await?;
        for n in 1..SAMPLES {
            shop::place(&mut orders, n, SKUS).await?;
        }
        admin.batch_execute("alter system set log_statement = 'all'").await?;
        admin.batch_execute("select pg_reload_conf(), pg_sleep(1)").await?;
        let id = shop::place(&mut orders, 0, SKUS).await?;
        admin.batch_execute("alter system reset log_statement").await?;
        admin.batch_execute("select pg_reload_conf(), pg_sleep(0.5)").await?;
        running.stop().await?;
        let log = fs::read_to_string(stage.postgres.log()).context("PostgreSQL's log")?;
        let statements = of_order(&parse(&log), &id)?;
        let mut script = Self { text: String::new(), variables: BTreeMap::new() };
        script.write(&statements, &admin, &proxy).await?;
        script.make_database(stage).await?;
        Ok(script)
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    async fn write(&mut self, statements: &[Logged], database: &Client, proxy: &Proxy) -> anyhow::Result<()> {
        let mut uuids = Vec::new();
        let values = statements.iter().flat_map(|statement| statement.parameters.iter().flatten());
        for uuid in values.flat_map(|value| uuids_in(value)) {
            if !uuids.contains(&uuid) {
                uuids.push(uuid);
            }
        }
        for n in 0..uuids.len() {
            writeln!(self.text, "\\set uuid{n} random(0, 281474976710655)")?;
        }
        for (place, statement) in statements.iter().enumerate() {
            let types = type_names(database, &proxy.of(&statement.sql).unwrap_or_default()).await?;
            let missing = statement.parameters.len() > types.len();
            anyhow::ensure!(!missing, "no types were seen for {}", statement.sql);
            let mut sql = statement.sql.replace('\n', " ");
            // from the highest, so that $1 is not found in $12
            for (n, value) in statement.parameters.iter().enumerate().rev() {
                let as_type = types.get(n).map_or("text", String::as_str);
                let value = match value {
                    None => "null".to_owned(),
                    Some(value) => self.expression(&format!("p{place}_{n}"), value, &uuids),
                };
                sql = sql.replace(&format!("${}", n + 1), &format!("cast({value} as {as_type})"));
            }
            writeln!(self.text, "{sql};")?;
        }
        Ok(())
    }

    /// The parameter's text in pieces, with what differs from order to order between them.
    fn expression(&mut self, name: &str, value: &str, uuids: &[String]) -> String {
        let mut pieces = Vec::new();
        let mut rest = value;
        while let Some((at, n)) = (uuids.iter().enumerate()).filter_map(|(n, uuid)| Some((rest.find(uuid)?, n))).min() {
            // the time in the first half stays, so the new id belongs to the same day
            self.piece(name, &mut pieces, &rest[..at + 24]);
            pieces.push(format!("lpad(to_hex(cast(:uuid{n} as bigint)), 12, '0')"));
            rest = &rest[at + 36..];
        }
        if !rest.is_empty() || pieces.is_empty() {
            self.piece(name, &mut pieces, rest);
        }
        pieces.join(" || ")
    }

    fn piece(&mut self, name: &str, pieces: &mut Vec<String>, text: &str) {
        let variable = format!("{name}_{}", pieces.len());
        pieces.push(format!("cast(:{variable} as text)"));
        self.variables.insert(variable, text.to_owned());
    }

    /// A database with the same tables and products, and no relay.
    async fn make_database(&self, stage: &Stage) -> anyhow::Result<()> {
        let copy = stage.admin(DATABASE).await?;
        let dump = Command::new("pg_dump").arg(stage.postgres.url(Program::OrderSvc.database())).output().await;
        let dump = dump.context("running pg_dump, which comes with PostgreSQL's clients")?;
        if !dump.status.success() {
            bail!("pg_dump failed: {}", String::from_utf8_lossy(&dump.stderr));
        }
        // COPY's data is not SQL, so psql reads it
        let file = stage.folder.join("order_svc.sql");
        fs::write(&file, dump.stdout)?;
        drop(copy);
        let mut psql = Command::new("psql");
        psql.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file).arg(stage.postgres.url(DATABASE));
        let loaded = psql.output().await.context("running psql")?;
        if !loaded.status.success() {
            bail!("psql failed: {}", String::from_utf8_lossy(&loaded.stderr));
        }
        Ok(())
    }

    /// Transactions a second with so many clients.
    pub async fn run(&self, stage: &Stage, clients: usize, lasts: Duration) -> anyhow::Result<f64> {
        let copy = stage.admin(DATABASE).await?;
        copy.batch_execute("truncate outbox").await?;
        let file = stage.folder.join("placement.sql");
        fs::write(&file, &self.text)?;
        let mut command = Command::new("pgbench");
        command.args(["-n", "-M", "prepared", "-j", &clients.min(2).to_string(), "-c", &clients.to_string()]);
        command.args(["-T", &lasts.as_secs().max(1).to_string(), "-f"]).arg(&file);
        for (name, value) in &self.variables {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        let output = command.arg(stage.postgres.url(DATABASE)).output().await.context("running pgbench")?;
        let told = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        let a_second = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        match a_second {
            Some(a_second) if output.status.success() => Ok(a_second),
            _ => bail!("pgbench failed: {}", failed.lines().rev().take(4).collect::<Vec<_>>().join("; ")),
        }
    }
}

/// What PostgreSQL calls them.
async fn type_names(database: &Client, types: &[u32]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for number in types {
        let named = database.query_one("select /* quadrille-bench */ format_type($1, null)", &[number]).await?;
        names.push(named.get(0));
    }
    Ok(names)
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
fn of_order(logged: &[Logged], id: &str) -> anyhow::Result<Vec<Logged>> {
    let names_it = |statement: &&Logged| statement.parameters.iter().flatten().any(|value| value.contains(id));
    let backend = logged.iter().find(names_it).context("no logged statement names the order")?.backend;
    let own: Vec<_> = logged.iter().filter(|statement| statement.backend == backend).collect();
    let first = own.iter().position(names_it).context("it was found before")?;
    let is_end = |statement: &&Logged| statement.sql.trim().eq_ignore_ascii_case("commit");
    let begins = own[..first].iter().rposition(is_end).map_or(0, |end| end + 1);
    let ends = own[first..].iter().position(is_end).context("the order's transaction was not committed")?;
    Ok(own[begins..=first + ends].iter().map(|statement| (*statement).clone()).collect())
}

/// The UUIDs of version 7 in a text.
fn uuids_in(text: &str) -> Vec<String> {
    let is_uuid = |candidate: &[u8]| {
        candidate.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'7',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let found = text.as_bytes().windows(36).filter(|candidate| is_uuid(candidate));
    found.map(|uuid| String::from_utf8_lossy(uuid).into_owned()).collect()
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
    fn what_differs_from_order_to_order_is_made_anew_wherever_it_stands() {
        let mut script = Script { text: String::new(), variables: BTreeMap::new() };
        let made = script.expression("p1_0", &format!("{{\"id\": \"{ORDER}\"}}"), &[ORDER.to_owned()]);
        assert_eq!(
            made,
            "cast(:p1_0_0 as text) || lpad(to_hex(cast(:uuid0 as bigint)), 12, '0') || cast(:p1_0_2 as text)"
        );
        assert_eq!(script.variables["p1_0_0"], "{\"id\": \"019ae000-1111-7222-8333-");
        assert_eq!(script.variables["p1_0_2"], "\"}");
        assert_eq!(uuids_in(&format!("x{ORDER}y")), [ORDER]);
    }
}
