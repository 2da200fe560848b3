//! The limit of placing and of looking up: what a service sends to PostgreSQL for it, sent by pgbench. The statements are taken
//! from the server's log meanwhile, so they are those that the service runs today. What differs from order to order, the UUIDs in
//! the parameters of placing, is made anew by pgbench for each transaction.

use std::{collections::BTreeMap, fmt::Write, fs, time::Duration};

use anyhow::{Context, bail};
use tokio::process::Command;
use tokio_postgres::Client;

use super::parameter_types::Proxy;
use super::statement_log::{self, Logged, of_each, of_order};
use crate::http::Connection;
use crate::shop::{self, SKUS};
use crate::stage::{Program, Running, Stage};

/// Orders that are placed to see what placing runs; the last one is taken, when all is prepared.
pub const SAMPLES: usize = 20;
/// A copy of order-svc's database.
const COPY: &str = "placed_by_pgbench";

/// What pgbench runs.
pub struct Script {
    text: String,
    /// Texts of parameters, by name: pgbench sends them as parameters too.
    variables: BTreeMap<String, String>,
    database: String,
    /// Run before pgbench begins.
    first: &'static str,
}

impl Script {
    /// Places some orders, and takes what the last of them ran. The order-svc that is asked speaks with PostgreSQL through a
    /// proxy, and ends when that is done.
    pub async fn of_placing(stage: &Stage) -> anyhow::Result<Self> {
        let (running, proxy) = through_a_proxy(stage, Program::OrderSvc).await?;
        let mut orders = Connection::open(running.port).await?;
        for n in 1..SAMPLES {
            shop::place(&mut orders, n, SKUS).await?;
        }
        let (id, logged) = statement_log::during(stage, shop::place(&mut orders, 0, SKUS)).await?;
        running.stop().await?;
        let statements = of_order(&logged, &id)?;
        let mut uuids = Vec::new();
        let values = statements.iter().flat_map(|statement| statement.parameters.iter().flatten());
        for uuid in values.flat_map(|value| uuids_in(value)) {
            if !uuids.contains(&uuid) {
                uuids.push(uuid);
            }
        }
        let mut script = Self::on(COPY, "truncate outbox");
        script.write(&statements, &uuids, &stage.admin("postgres").await?, &proxy).await?;
        make_copy(stage).await?;
        Ok(script)
    }

    /// Has one more instance of the service look things up, several of each kind, and takes what each look-up of a kind ran.
    pub async fn of_reading(stage: &Stage, program: Program, kinds: &[&[String]]) -> anyhow::Result<Vec<Self>> {
        let (running, proxy) = through_a_proxy(stage, program).await?;
        let mut connection = Connection::open(running.port).await?;
        let admin = stage.admin("postgres").await?;
        let mut scripts = Vec::new();
        for paths in kinds {
            let look_ups = async {
                for path in *paths {
                    connection.get(path).await?;
                }
                Ok(())
            };
            let ((), logged) = statement_log::during(stage, look_ups).await?;
            let statements = of_each(&logged, paths.len());
            anyhow::ensure!(!statements.is_empty(), "no statement was run for each look-up of {paths:?}");
            let mut script = Self::on(program.database(), "");
            script.write(&statements, &[], &admin, &proxy).await?;
            scripts.push(script);
        }
        running.stop().await?;
        Ok(scripts)
    }

    fn on(database: &str, first: &'static str) -> Self {
        Self { text: String::new(), variables: BTreeMap::new(), database: database.to_owned(), first }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    async fn write(
        &mut self,
        statements: &[Logged],
        uuids: &[String],
        database: &Client,
        proxy: &Proxy,
    ) -> anyhow::Result<()> {
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
                    Some(value) => self.expression(&format!("p{place}_{n}"), value, uuids),
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

    /// Transactions a second with so many clients.
    pub async fn run(&self, stage: &Stage, clients: usize, lasts: Duration) -> anyhow::Result<f64> {
        stage.admin(&self.database).await?.batch_execute(self.first).await?;
        let file = stage.folder.join("pgbench.sql");
        fs::write(&file, &self.text)?;
        let mut command = Command::new("pgbench");
        command.args(["-n", "-M", "prepared", "-j", &clients.min(2).to_string(), "-c", &clients.to_string()]);
        command.args(["-T", &lasts.as_secs().max(1).to_string(), "-f"]).arg(&file);
        for (name, value) in &self.variables {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        let output = command.arg(stage.postgres.url(&self.database)).output().await.context("running pgbench")?;
        let told = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        let a_second = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        match a_second {
            Some(a_second) if output.status.success() => Ok(a_second),
            _ => bail!("pgbench failed: {}", failed.lines().rev().take(4).collect::<Vec<_>>().join("; ")),
        }
    }
}

/// One more instance of the service, whose connections to PostgreSQL go through a proxy.
async fn through_a_proxy(stage: &Stage, program: Program) -> anyhow::Result<(Running, Proxy)> {
    let proxy = Proxy::start(stage.postgres.port()).await?;
    let port = |port: u16| format!("127.0.0.1:{port}/");
    let through = stage.postgres.url(program.database()).replace(&port(stage.postgres.port()), &port(proxy.port));
    Ok((stage.start(program, &[("DATABASE_URL", through)]).await?, proxy))
}

/// A database with the same tables and products, and no relay.
async fn make_copy(stage: &Stage) -> anyhow::Result<()> {
    let copy = stage.admin(COPY).await?;
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
    psql.args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file).arg(stage.postgres.url(COPY));
    let loaded = psql.output().await.context("running psql")?;
    if !loaded.status.success() {
        bail!("psql failed: {}", String::from_utf8_lossy(&loaded.stderr));
    }
    Ok(())
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
    fn what_differs_from_order_to_order_is_made_anew_wherever_it_stands() {
        let mut script = Script::on(COPY, "");
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
