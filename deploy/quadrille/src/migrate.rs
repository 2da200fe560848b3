//! `quadrille migrate`: brings a service's database up to date at a moment that an operator chooses, before instances of a new
//! version start. Each would do it at its start; but an index on a large table takes longer than an orchestrator waits for one.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use outbox_relay::{grant, vars};
use secrecy::ExposeSecret;
use service_kit::config::{DatabaseConfig, Reader};
use service_kit::{migrate, pool};

use crate::service::Service;

/// Whose database.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The service that owns it. Where it is, and the relay's role, say the variables that the service reads: DATABASE_URL and
    /// OUTBOX_RELAY_ROLE.
    service: Service,
}

/// Migrates, and grants the relay's role what it needs of the outbox. Does nothing where all of that is done. Fails if PostgreSQL
/// stays away, a migration fails, or the database is of a newer version.
pub async fn migrate(arguments: &MigrateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let service = arguments.service;
    let migrations = match service {
        Service::OrderSvc => order_svc::migrations(),
        Service::StockSvc => stock_svc::migrations(),
        Service::PaymentSvc => payment_svc::migrations(),
        Service::NotificationSvc => notification_svc::migrations(),
        Service::SandboxGateway | Service::SandboxIssuer | Service::OutboxRelay => {
            bail!("{} has no outbox, and migrates what it has at its start", service.name())
        }
    };
    let (database, role) = Reader::from_env().whole(|reader| {
        let (database, role) = (DatabaseConfig::read(reader), reader.optional::<String>(&vars::OUTBOX_RELAY_ROLE));
        Some((database?, role?))
    })?;
    migrate::migrate(&database.url, &migrations).await?;
    if let Some(role) = role {
        grant(&mut pool::connect(database.url.expose_secret()).await?, &role).await?;
    }
    writeln!(out, "{}: the database is of this version", service.name())?;
    Ok(())
}
