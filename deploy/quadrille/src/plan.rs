//! Who listens where and gets which environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use quadrille_servers::port;
use service_kit::kafka::Brokers;
use url::Url;

use crate::{cli::KafkaWish, service::Service};

/// Different from the usual 5432 and 9092, which another PostgreSQL or Kafka of this machine may have.
const POSTGRES_PORT: u16 = 15432;
const KAFKA_PORT: u16 = 19092;
/// Different from those of the services.
const RUNNER_PORT: u16 = 8079;
/// How long published events stay in each database, where that is up to the run: as long as Kafka would keep them.
const ARCHIVE: &str = "7d";
/// The sandbox gateway takes any key; Stripe's test keys begin like this.
const SANDBOX_KEY: &str = "sk_test_sandbox";
/// What the sandbox gateway signs its webhooks with.
const SANDBOX_WEBHOOK_SECRET: &str = "whsec_sandbox";
/// The sandbox gateway takes any account's messages, with any token; the number is Twilio's own for trying out.
const SANDBOX_MESSAGES: [(&str, &str); 5] = [
    ("TWILIO_ACCOUNT_SID", "ACsandbox"),
    ("TWILIO_AUTH_TOKEN", "sandbox"),
    ("TWILIO_FROM", "+15005550006"),
    ("FCM_PROJECT", "sandbox"),
    ("FCM_ACCESS_TOKEN", "sandbox"),
];
/// What signs the links of guests' orders.
const SANDBOX_LINK_SECRET: &str = "everybody knows it: for trying out";

/// Which ports a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortWish {
    /// The known ports, all shifted by this much.
    Offset(u16),
    /// Whatever is free.
    Free,
}

/// The ports of a run; each was free when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    pub postgres: u16,
    pub kafka: u16,
    pub runner: u16,
    services: BTreeMap<Service, u16>,
}

impl Ports {
    /// The error names the port that is taken and who wanted it.
    pub fn claim(wish: PortWish, services: &[Service]) -> anyhow::Result<Self> {
        let claim = |default: u16, who: &str| match wish {
            PortWish::Free => port::claim(None, who),
            PortWish::Offset(offset) => {
                let port =
                    default.checked_add(offset).with_context(|| format!("--port-offset {offset} is too large"))?;
                port::claim(Some(port), who)
            }
        };
        let services = services.iter().map(|service| Ok((*service, claim(service.default_port(), service.name())?)));
        Ok(Self {
            services: services.collect::<anyhow::Result<_>>()?,
            postgres: claim(POSTGRES_PORT, "PostgreSQL")?,
            kafka: claim(KAFKA_PORT, "Kafka")?,
            runner: claim(RUNNER_PORT, "the runner")?,
        })
    }

    /// Where a service listens.
    pub fn of(&self, service: Service) -> u16 {
        self.services.get(&service).copied().unwrap_or_else(|| service.default_port())
    }
}

/// Everything that the environment of a service is made from.
#[derive(Debug, Clone)]
pub struct Plan {
    pub ports: Ports,
    /// The administrator's URL of PostgreSQL.
    pub postgres: Url,
    /// Where Kafka is, and how one speaks with it.
    pub kafka: Brokers,
    pub kind: KafkaWish,
    pub mails: PathBuf,
    /// Whether the services ask for tokens, which an issuer of this run gives.
    pub auth: bool,
}

/// What a run consists of, in the order in which it is started.
pub fn services(auth: bool) -> Vec<Service> {
    let issuer = auth.then_some(Service::SandboxIssuer);
    issuer.into_iter().chain(Service::ALL).collect()
}

impl Plan {
    pub fn services(&self) -> Vec<Service> {
        services(self.auth)
    }

    pub fn url(&self, service: Service) -> String {
        format!("http://{}", self.listens(service))
    }

    /// Where the runner tells whether all that must hold does.
    pub fn audit_url(&self) -> String {
        format!("http://127.0.0.1:{}/audit", self.ports.runner)
    }

    pub fn database_url(&self, service: Service) -> Option<String> {
        service.database().map(|name| {
            let mut url = self.postgres.clone();
            url.set_path(name);
            url.to_string()
        })
    }

    /// What a service needs to be told, in a form that a shell takes too.
    pub fn environment(&self, service: Service) -> Vec<(&'static str, String)> {
        let mut environment = vec![match service {
            Service::OutboxRelay => ("METRICS_ADDR", self.listens(service)),
            _ => ("HTTP_ADDR", self.listens(service)),
        }];
        environment.extend(self.database_url(service).map(|url| ("DATABASE_URL", url)));
        if !matches!(service, Service::SandboxGateway | Service::SandboxIssuer) {
            environment.push(("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap.clone()));
        }
        if Service::WITH_OUTBOX.contains(&service) {
            // With static members that were killed, tansu-broker 0.6 lets a group join again and again for ever.
            if self.kind != KafkaWish::Embedded {
                environment.push(("GROUP_INSTANCE_ID", format!("{}-0", service.name())));
            }
            environment.push(("RELAY", "embedded".to_owned()));
            // everything listens on loopback
            environment.push(match self.auth {
                true => ("AUTH_ISSUER", self.url(Service::SandboxIssuer)),
                false => ("AUTH", "off".to_owned()),
            });
        }
        let is_ours = !matches!(self.kind, KafkaWish::Given(_));
        if is_ours && (Service::WITH_OUTBOX.contains(&service) || service == Service::OutboxRelay) {
            environment.push(("OUTBOX_RELAY_ARCHIVE", ARCHIVE.to_owned()));
        }
        match service {
            Service::OrderSvc if self.auth => environment.push(("GUEST_LINK_SECRET", SANDBOX_LINK_SECRET.to_owned())),
            Service::PaymentSvc => {
                environment.push(("PAYMENT_GATEWAY_URL", self.url(Service::SandboxGateway)));
                environment.push(("PAYMENT_GATEWAY_KEY", SANDBOX_KEY.to_owned()));
                environment.push(("PAYMENT_WEBHOOK_SECRET", SANDBOX_WEBHOOK_SECRET.to_owned()));
            }
            Service::SandboxGateway => {
                let url = format!("{}/api/v1/payments/webhooks/stripe", self.url(Service::PaymentSvc));
                environment.push(("SANDBOX_WEBHOOK_URL", url));
                environment.push(("SANDBOX_WEBHOOK_SECRET", SANDBOX_WEBHOOK_SECRET.to_owned()));
            }
            Service::NotificationSvc => {
                environment.push(("MAIL_TRANSPORT", format!("file:{}", self.mails.display())));
                environment.push(("MAIL_FROM", "Quadrille <shop@quadrille.example>".to_owned()));
                environment.extend(SANDBOX_MESSAGES.map(|(name, value)| (name, value.to_owned())));
                environment.push(("TWILIO_URL", self.url(Service::SandboxGateway)));
                environment.push(("FCM_URL", self.url(Service::SandboxGateway)));
                if self.auth {
                    environment.push(("GUEST_LINK_SECRET", SANDBOX_LINK_SECRET.to_owned()));
                    environment.push(("SHOP_URL", self.url(Service::OrderSvc)));
                }
            }
            Service::OutboxRelay => {
                let databases: Vec<_> =
                    Service::WITH_OUTBOX.into_iter().filter_map(|of| self.database_url(of)).collect();
                environment.push(("OUTBOX_RELAY_DATABASES", databases.join(",")));
            }
            _ => {}
        }
        environment
    }

    /// A line for a shell that starts one service alone as this run would.
    pub fn command_line(&self, binary: &Path, service: Service) -> String {
        let variables: String =
            self.environment(service).iter().map(|(name, value)| format!("{name}={} \\\n  ", quoted(value))).collect();
        format!("{variables}{} run {}", quoted(&binary.display().to_string()), service.name())
    }

    fn listens(&self, service: Service) -> String {
        format!("127.0.0.1:{}", self.ports.of(service))
    }
}

fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.,_-@".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            ports: Ports::claim(PortWish::Free, &services(true)).unwrap(),
            postgres: Url::parse("postgres://postgres:secret@127.0.0.1:5433/postgres").unwrap(),
            kafka: "127.0.0.1:9092".into(),
            kind: KafkaWish::Apache,
            mails: PathBuf::from("/data/my mails"),
            auth: false,
        }
    }

    fn value(plan: &Plan, service: Service, name: &str) -> Option<String> {
        plan.environment(service).into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    #[test]
    fn every_service_has_a_database_of_its_own_on_the_same_server() {
        let found = value(&plan(), Service::StockSvc, "DATABASE_URL").unwrap();
        assert_eq!(found, "postgres://postgres:secret@127.0.0.1:5433/stock_svc");
    }

    #[test]
    fn the_standby_relay_watches_the_databases_of_all_four_services() {
        let found = value(&plan(), Service::OutboxRelay, "OUTBOX_RELAY_DATABASES").unwrap();
        assert_eq!(found.split(',').count(), 4);
        assert!(!found.contains("sandbox_gateway"));
    }

    #[test]
    fn payment_svc_is_sent_to_the_sandbox_gateway_of_the_same_run() {
        let plan = plan();
        let found = value(&plan, Service::PaymentSvc, "PAYMENT_GATEWAY_URL").unwrap();
        assert_eq!(found, plan.url(Service::SandboxGateway));
    }

    #[test]
    fn the_sandbox_gateway_tells_payment_svc_of_the_same_run_and_is_believed() {
        let plan = plan();
        let told = value(&plan, Service::SandboxGateway, "SANDBOX_WEBHOOK_URL").unwrap();
        assert!(told.starts_with(&plan.url(Service::PaymentSvc)), "{told}");
        let signed = value(&plan, Service::SandboxGateway, "SANDBOX_WEBHOOK_SECRET");
        assert_eq!(signed, value(&plan, Service::PaymentSvc, "PAYMENT_WEBHOOK_SECRET"));
    }

    #[test]
    fn text_and_push_messages_stay_in_the_same_run_and_guests_links_lead_into_it() {
        let plan = Plan { auth: true, ..plan() };
        for name in ["TWILIO_URL", "FCM_URL"] {
            assert_eq!(value(&plan, Service::NotificationSvc, name), Some(plan.url(Service::SandboxGateway)));
        }
        assert_eq!(value(&plan, Service::NotificationSvc, "SHOP_URL"), Some(plan.url(Service::OrderSvc)));
        let secret = |service| value(&plan, service, "GUEST_LINK_SECRET");
        assert_eq!(secret(Service::NotificationSvc), secret(Service::OrderSvc));
        assert!(secret(Service::OrderSvc).is_some_and(|secret| service_kit::config::is_known(&secret)));
    }

    #[test]
    fn services_trust_the_issuer_of_the_same_run_where_tokens_are_asked_for_and_ask_for_none_elsewhere() {
        let plan = plan();
        assert_eq!(value(&plan, Service::StockSvc, "AUTH").unwrap(), "off");
        assert!(!plan.services().contains(&Service::SandboxIssuer));
        let plan = Plan { auth: true, ..plan };
        for service in Service::WITH_OUTBOX {
            assert_eq!(value(&plan, service, "AUTH_ISSUER"), Some(plan.url(Service::SandboxIssuer)));
            assert_eq!(value(&plan, service, "AUTH"), None);
        }
        assert_eq!(plan.services()[0], Service::SandboxIssuer);
    }

    #[test]
    fn a_command_line_quotes_what_a_shell_would_split() {
        let line = plan().command_line(Path::new("/usr/bin/quadrille"), Service::NotificationSvc);
        assert!(line.contains("MAIL_TRANSPORT='file:/data/my mails'"), "{line}");
        assert!(line.ends_with("/usr/bin/quadrille run notification-svc"), "{line}");
    }
}
