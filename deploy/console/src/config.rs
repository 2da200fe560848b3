//! What the console is told by its environment.

use service_kit::auth::AuthConfig;
use service_kit::config::{DatabaseConfig, HttpConfig, KafkaConfig, Reader, TelemetryConfig, Var, vars as common};
use service_kit::http_client::is_on_this_machine;
use url::Url;

/// The variables that only the console reads, and its own default of `HTTP_ADDR`.
pub mod vars {
    use super::Var;

    pub static HTTP_ADDR: Var = Var::http_addr("127.0.0.1:8070", "0.0.0.0:8070");
    pub static CONSOLE_URL: Var = Var {
        name: "CONSOLE_URL",
        what: "Where browsers reach the console: the issuer leads people back there. http:// and HTTP_ADDR when it is not set.",
        expected: "an https URL; http on loopback or with SANDBOX=1",
        example: "https://shop.example.com",
        default: None,
    };
    pub static ORDER_URL: Var = Var {
        name: "ORDER_URL",
        what: "Where order-svc is.",
        expected: "an http or https URL",
        example: "http://order-svc:8080",
        default: Some("http://127.0.0.1:8080"),
    };
    pub static PAYMENT_URL: Var = Var {
        name: "PAYMENT_URL",
        what: "Where payment-svc is.",
        expected: "an http or https URL",
        example: "http://payment-svc:8081",
        default: Some("http://127.0.0.1:8081"),
    };
    pub static STOCK_URL: Var = Var {
        name: "STOCK_URL",
        what: "Where stock-svc is.",
        expected: "an http or https URL",
        example: "http://stock-svc:8082",
        default: Some("http://127.0.0.1:8082"),
    };
    pub static NOTIFICATION_URL: Var = Var {
        name: "NOTIFICATION_URL",
        what: "Where notification-svc is.",
        expected: "an http or https URL",
        example: "http://notification-svc:8083",
        default: Some("http://127.0.0.1:8083"),
    };
    pub static ORDER_OPS_URL: Var = Var {
        name: "ORDER_OPS_URL",
        what: "Where order-svc tells operators how it is, if it has an OPS_ADDR.",
        expected: "an http or https URL",
        example: "http://order-svc:9180",
        default: None,
    };
    pub static ORDER_RELAY_URL: Var = Var {
        name: "ORDER_RELAY_URL",
        what: "Where the relay of order-svc tells how it is (its METRICS_ADDR), if order-svc has RELAY=external.",
        expected: "an http or https URL",
        example: "http://order-relay:9464",
        default: None,
    };
    pub static PAYMENT_OPS_URL: Var = Var {
        name: "PAYMENT_OPS_URL",
        what: "Where payment-svc tells operators how it is, if it has an OPS_ADDR.",
        expected: "an http or https URL",
        example: "http://payment-svc:9180",
        default: None,
    };
    pub static PAYMENT_RELAY_URL: Var = Var {
        name: "PAYMENT_RELAY_URL",
        what: "Where the relay of payment-svc tells how it is (its METRICS_ADDR), if payment-svc has RELAY=external.",
        expected: "an http or https URL",
        example: "http://payment-relay:9464",
        default: None,
    };
    pub static STOCK_OPS_URL: Var = Var {
        name: "STOCK_OPS_URL",
        what: "Where stock-svc tells operators how it is, if it has an OPS_ADDR.",
        expected: "an http or https URL",
        example: "http://stock-svc:9180",
        default: None,
    };
    pub static STOCK_RELAY_URL: Var = Var {
        name: "STOCK_RELAY_URL",
        what: "Where the relay of stock-svc tells how it is (its METRICS_ADDR), if stock-svc has RELAY=external.",
        expected: "an http or https URL",
        example: "http://stock-relay:9464",
        default: None,
    };
    pub static NOTIFICATION_OPS_URL: Var = Var {
        name: "NOTIFICATION_OPS_URL",
        what: "Where notification-svc tells operators how it is, if it has an OPS_ADDR.",
        expected: "an http or https URL",
        example: "http://notification-svc:9180",
        default: None,
    };
    pub static NOTIFICATION_RELAY_URL: Var = Var {
        name: "NOTIFICATION_RELAY_URL",
        what: "Where the relay of notification-svc tells how it is (its METRICS_ADDR), if notification-svc has RELAY=external.",
        expected: "an http or https URL",
        example: "http://notification-relay:9464",
        default: None,
    };
    pub static AUTH_CLIENT_ID: Var = Var {
        name: "AUTH_CLIENT_ID",
        what: "The console's name at the issuer, as a public client with the redirect URI CONSOLE_URL/callback.",
        expected: "a text",
        example: "quadrille-console",
        default: Some("quadrille-console"),
    };
    pub static AUTH_ISSUER_INTERNAL_URL: Var = Var {
        name: "AUTH_ISSUER_INTERNAL_URL",
        what: "Where the console itself reaches the issuer, if that is not where browsers do. AUTH_ISSUER when it is not set.",
        expected: "an http or https URL",
        example: "http://sandbox-issuer:8091",
        default: None,
    };
    pub static WATCH_URL: Var = Var {
        name: "WATCH_URL",
        what: "Where `quadrille audit --serve` answers, or the runner of `quadrille up`: it watches whether all that must hold does, and tells what keeps orders. When it is not set, the control room says how to start one, and its page Stuck tells what services say of themselves.",
        expected: "an http or https URL",
        example: "http://watch:9466",
        default: None,
    };
    pub static TRACES_URL: Var = Var {
        name: "TRACES_URL",
        what: "Where people look at traces: with the id of one behind it, it is the address of its page. When it is not set, the control room shows ids alone.",
        expected: "an http or https URL",
        example: "http://localhost:16686/trace/",
        default: None,
    };
    pub static SANDBOX_GATEWAY_URL: Var = Var {
        name: "SANDBOX_GATEWAY_URL",
        what: "Where the sandbox gateway is, whose faults the control room then switches on and off. Of no effect without SANDBOX=1.",
        expected: "an http or https URL",
        example: "http://sandbox-gateway:8090",
        default: None,
    };
    pub static RUNNER_URL: Var = Var {
        name: "RUNNER_URL",
        what: "Where the runner of a local run answers, whose parts the control room then stops, freezes and kills. `quadrille up` sets it. Of no effect without SANDBOX=1.",
        expected: "an http or https URL",
        example: "http://127.0.0.1:8079",
        default: None,
    };
}

#[derive(Clone, Debug)]
pub struct Config {
    pub http: HttpConfig,
    pub database: DatabaseConfig,
    pub kafka: KafkaConfig,
    pub telemetry: TelemetryConfig,
    pub auth: AuthConfig,
    pub client_id: String,
    /// Where the issuer is for the console, where that is elsewhere than for browsers.
    pub issuer_internal: Option<Url>,
    /// None says that it is where it listens.
    pub console: Option<Url>,
    pub services: Urls,
    pub beside: BesideUrls,
    /// Where people look at a trace, without its id.
    pub traces: Option<Url>,
    /// Shows what is good for trying out: the sandbox's cards and people.
    pub is_sandbox: bool,
}

/// Where the services are.
#[derive(Clone, Debug)]
pub struct Urls {
    pub orders: Url,
    pub payments: Url,
    pub stock: Url,
    pub notifications: Url,
    /// Where services tell operators how they are, and their relays, in the order of [`crate::services::Service::ALL`]; none where it is they themselves.
    pub ops: [Option<Url>; 4],
    pub relays: [Option<Url>; 4],
    /// Who looks for what keeps orders.
    pub stuck: Option<Url>,
}

/// Where programs beside the services are, as far as there are any.
#[derive(Clone, Debug, Default)]
pub struct BesideUrls {
    pub watch: Option<Url>,
    /// In a sandbox alone.
    pub gateway: Option<Url>,
    /// In a local run alone.
    pub runner: Option<Url>,
}

impl Config {
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let http = HttpConfig::read(reader, &vars::HTTP_ADDR);
        let database = DatabaseConfig::read(reader);
        let kafka = KafkaConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        let auth = AuthConfig::read(reader, http.as_ref().map(|http| http.addr));
        let client_id = reader.read(&vars::AUTH_CLIENT_ID);
        let is_sandbox = reader.optional::<u8>(&common::SANDBOX)? == Some(1);
        let issuer_internal = web(reader, &vars::AUTH_ISSUER_INTERNAL_URL);
        let console = reader.optional::<Url>(&vars::CONSOLE_URL)?;
        let is_exposed = |url: &Url| url.scheme() != "https" && !is_sandbox && !is_on_this_machine(url);
        if console.as_ref().is_some_and(is_exposed) {
            reader.refuse(&vars::CONSOLE_URL, "whoever is between could read the cookies of people: take https");
            return None;
        }
        if console.is_none() && http.as_ref().is_some_and(|http| !http.addr.ip().to_canonical().is_loopback()) {
            reader.lacks(&vars::CONSOLE_URL, "HTTP_ADDR is no address that browsers can use");
            return None;
        }
        let [watch, gateway, runner] =
            [&vars::WATCH_URL, &vars::SANDBOX_GATEWAY_URL, &vars::RUNNER_URL].map(|var| web(reader, var));
        let traces = web(reader, &vars::TRACES_URL)?;
        let for_trying_out = |url: Option<Url>| url.filter(|_| is_sandbox);
        let urls = [&vars::ORDER_URL, &vars::PAYMENT_URL, &vars::STOCK_URL, &vars::NOTIFICATION_URL];
        let [orders, payments, stock, notifications] = urls.map(|var| web(reader, var).flatten());
        let ops = [&vars::ORDER_OPS_URL, &vars::PAYMENT_OPS_URL, &vars::STOCK_OPS_URL, &vars::NOTIFICATION_OPS_URL];
        let ops = several(ops.map(|var| web(reader, var)));
        let relays =
            [&vars::ORDER_RELAY_URL, &vars::PAYMENT_RELAY_URL, &vars::STOCK_RELAY_URL, &vars::NOTIFICATION_RELAY_URL];
        let relays = several(relays.map(|var| web(reader, var)));
        let (orders, payments, stock, notifications) = (orders?, payments?, stock?, notifications?);
        let (ops, relays, watch) = (ops?, relays?, watch?);
        let stuck = watch.as_ref().and_then(|watch| watch.join("stuck").ok());
        let services = Urls { orders, payments, stock, notifications, ops, relays, stuck };
        Some(Self {
            http: http?,
            database: database?,
            kafka: kafka?,
            telemetry: telemetry?,
            auth: auth?,
            client_id: client_id?,
            issuer_internal: issuer_internal?,
            console,
            services,
            beside: BesideUrls { watch, gateway: for_trying_out(gateway?), runner: for_trying_out(runner?) },
            traces,
            is_sandbox,
        })
    }
}

/// All, if none of them was refused.
fn several<T>([one, two, three, four]: [Option<T>; 4]) -> Option<[T; 4]> {
    Some([one?, two?, three?, four?])
}

/// An address on the web; `Some(None)` where none is given and none is the default.
fn web(reader: &mut Reader, var: &'static Var) -> Option<Option<Url>> {
    let url = match var.default {
        Some(_) => Some(reader.read::<Url>(var)?),
        None => reader.optional::<Url>(var)?,
    };
    if url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https") || !url.has_host()) {
        reader.refuse(var, "it is no address that begins with http:// or https://");
        return None;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &[(&str, &str)]) -> Result<Config, String> {
        let whole = [
            ("DATABASE_URL", "postgres://c@127.0.0.1/console"),
            ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
            ("AUTH_ISSUER", "http://127.0.0.1:8091"),
        ];
        let reader = Reader::from_pairs(whole.iter().chain(more).copied());
        reader.whole(Config::read).map_err(|error| error.to_string())
    }

    #[test]
    fn services_are_where_a_local_run_has_them_unless_told_otherwise() {
        let config = read(&[("STOCK_URL", "http://stock-svc:8082")]).unwrap();
        assert_eq!(config.services.orders.as_str(), "http://127.0.0.1:8080/");
        assert_eq!(config.services.stock.as_str(), "http://stock-svc:8082/");
        assert!(read(&[("STOCK_URL", "stock-svc:8082")]).unwrap_err().contains("STOCK_URL"));
        let apart =
            read(&[("STOCK_OPS_URL", "http://stock-svc:9180"), ("ORDER_RELAY_URL", "http://relay:9464")]).unwrap();
        let known = |urls: [Option<Url>; 4]| urls.map(|url| url.map(|url| url.to_string()));
        assert_eq!(known(apart.services.ops), [None, None, Some("http://stock-svc:9180/".to_owned()), None]);
        assert_eq!(known(apart.services.relays), [Some("http://relay:9464/".to_owned()), None, None, None]);
    }

    #[test]
    fn programs_beside_the_services_are_there_where_it_is_said_where() {
        assert!(read(&[]).unwrap().beside.watch.is_none());
        let config = read(&[("WATCH_URL", "http://watch:9466")]).unwrap();
        assert_eq!(config.beside.watch.unwrap().as_str(), "http://watch:9466/");
        assert!(read(&[("WATCH_URL", "watch:9466")]).unwrap_err().contains("WATCH_URL"));
    }

    #[test]
    fn traces_are_looked_at_on_the_web() {
        assert!(read(&[]).unwrap().traces.is_none());
        let jaeger = "http://localhost:16686/trace/";
        assert_eq!(read(&[("TRACES_URL", jaeger)]).unwrap().traces.unwrap().as_str(), jaeger);
        assert!(read(&[("TRACES_URL", "javascript:alert(1)//")]).unwrap_err().contains("TRACES_URL"));
    }

    #[test]
    fn only_a_sandbox_has_switches() {
        let gateway = ("SANDBOX_GATEWAY_URL", "http://sandbox-gateway:8090");
        let runner = ("RUNNER_URL", "http://127.0.0.1:8079");
        let switches = |more: &[(&str, &str)]| {
            let beside = read(&[&[gateway, runner], more].concat()).unwrap().beside;
            (beside.gateway.is_some(), beside.runner.is_some())
        };
        assert_eq!([switches(&[]), switches(&[("SANDBOX", "1")])], [(false, false), (true, true)]);
    }

    #[test]
    fn cookies_go_in_clear_on_this_machine_or_in_a_sandbox_alone() {
        let at = |url: &'static str| read(&[("CONSOLE_URL", url)]);
        assert!(at("http://shop.example").unwrap_err().contains("CONSOLE_URL is refused"));
        assert!(at("https://shop.example").is_ok() && at("http://localhost:8070").is_ok());
        assert!(read(&[("CONSOLE_URL", "http://shop.example"), ("SANDBOX", "1")]).is_ok());
        let everywhere = read(&[("HTTP_ADDR", "0.0.0.0:8070"), ("SANDBOX", "1")]).unwrap_err();
        assert!(everywhere.contains("CONSOLE_URL is not set"), "{everywhere}");
    }
}
