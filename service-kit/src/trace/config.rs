//! Where spans go, and which.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::Reader;

/// The variables of tracing. They have OpenTelemetry's names and meanings
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
pub mod vars {
    use crate::config::Var;

    /// The switch.
    pub static SDK_DISABLED: Var = Var {
        name: "OTEL_SDK_DISABLED",
        what: "`true` turns tracing off, whatever else is set.",
        expected: "true or false",
        example: "true",
        default: Some("false"),
    };
    /// Where the collector is.
    pub static ENDPOINT: Var = Var {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        what: "The OpenTelemetry collector that spans are sent to, by OTLP over HTTP; `/v1/traces` is added. Where it is not set, there are no spans.",
        expected: "an http or https URL",
        example: "http://127.0.0.1:4318",
        default: None,
    };
    /// Where traces go.
    pub static TRACES_ENDPOINT: Var = Var {
        name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        what: "Takes the place of `OTEL_EXPORTER_OTLP_ENDPOINT`, and is used as it is.",
        expected: "an http or https URL with its path",
        example: "http://127.0.0.1:4318/v1/traces",
        default: None,
    };
    /// Headers of each request.
    pub static HEADERS: Var = Var {
        name: "OTEL_EXPORTER_OTLP_HEADERS",
        what: "Headers for the collector, such as its token.",
        expected: "name=value, several with commas between",
        example: "authorization=Bearer%20secret",
        default: None,
    };
    /// The encoding.
    pub static PROTOCOL: Var = Var {
        name: "OTEL_EXPORTER_OTLP_PROTOCOL",
        what: "How spans are sent. gRPC is not built in; a collector takes both.",
        expected: "http/protobuf",
        example: "http/protobuf",
        default: Some("http/protobuf"),
    };
    /// How long a request may take.
    pub static TIMEOUT: Var = Var {
        name: "OTEL_EXPORTER_OTLP_TIMEOUT",
        what: "How long the collector has for its answer. Spans that it does not take are lost, and counted.",
        expected: "milliseconds from 1 to 60000",
        example: "10000",
        default: Some("10000"),
    };
    /// The program's name.
    pub static SERVICE_NAME: Var = Var {
        name: "OTEL_SERVICE_NAME",
        what: "The name that the program has in traces, if not its own. Set for several programs at once, it makes them one.",
        expected: "a name",
        example: "order-svc",
        default: None,
    };
    /// What else is known of the program.
    pub static RESOURCE_ATTRIBUTES: Var = Var {
        name: "OTEL_RESOURCE_ATTRIBUTES",
        what: "What is said of the program with each span.",
        expected: "name=value, several with commas between",
        example: "deployment.environment.name=production",
        default: None,
    };
    /// Which traces.
    pub static SAMPLER: Var = Var {
        name: "OTEL_TRACES_SAMPLER",
        what: "Which traces are exported. Those with `parentbased_` follow what the caller, or the event, says in `traceparent`, and decide only of traces that begin here; so one order is exported whole or not at all.",
        expected: "parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, always_off or traceidratio",
        example: "parentbased_traceidratio",
        default: Some("parentbased_always_on"),
    };
    /// How many of them.
    pub static SAMPLER_ARG: Var = Var {
        name: "OTEL_TRACES_SAMPLER_ARG",
        what: "The share of traces that `traceidratio` and `parentbased_traceidratio` export.",
        expected: "a number from 0 to 1",
        example: "0.1",
        default: Some("1"),
    };
    /// What is always kept.
    pub static KEEP_SLOWER_THAN: Var = Var {
        name: "TRACE_KEEP_SLOWER_THAN",
        what: "A request, a batch or an outside call that takes at least this long is exported although its trace is not sampled, as is one that fails. Only this span, without those around it.",
        expected: "a duration from 1ms to an hour",
        example: "500ms",
        default: Some("1s"),
    };
    /// The bound of the queue.
    pub static QUEUE: Var = Var {
        name: "OTEL_BSP_MAX_QUEUE_SIZE",
        what: "How many spans wait for the collector at most. Those for which there is no room are dropped, and counted.",
        expected: "a whole number from 1 to 1000000",
        example: "2048",
        default: Some("2048"),
    };
    /// The size of a request.
    pub static BATCH: Var = Var {
        name: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        what: "How many spans are sent at once, at most.",
        expected: "a whole number from 1 to 1000000",
        example: "512",
        default: Some("512"),
    };
    /// How long spans wait for company.
    pub static DELAY: Var = Var {
        name: "OTEL_BSP_SCHEDULE_DELAY",
        what: "How long a span waits for others that are sent with it.",
        expected: "milliseconds from 1 to 60000",
        example: "5000",
        default: Some("5000"),
    };
}

/// How spans are exported.
#[derive(Clone, Debug)]
pub struct TracingConfig {
    /// The collector's address for traces.
    pub endpoint: Url,
    /// Names and values of headers, as the variable has them.
    pub headers: Option<SecretString>,
    /// How long a request may take.
    pub timeout: Duration,
    /// The program's name, if not its own.
    pub service_name: Option<String>,
    /// What else is said of the program.
    pub attributes: Vec<(String, String)>,
    /// Which traces.
    pub sampler: Sampler,
    /// What takes longer is always kept.
    pub slow: Duration,
    /// How many spans may wait.
    pub queue: usize,
    /// How many are sent at once.
    pub batch: usize,
    /// How long they wait for company.
    pub delay: Duration,
}

impl TracingConfig {
    /// Reads all of it. `Some(None)` where tracing is off; None, with a problem noted, where a variable is wrong.
    pub fn read(reader: &mut Reader) -> Option<Option<Self>> {
        let is_disabled = reader.read::<bool>(&vars::SDK_DISABLED);
        let base = reader.optional::<Endpoint>(&vars::ENDPOINT);
        let traces = reader.optional::<Endpoint>(&vars::TRACES_ENDPOINT);
        let headers = reader.optional_secret(&vars::HEADERS).filter(|headers| {
            let read = headers.expose_secret().parse::<Pairs>();
            let is_read = read.is_ok();
            if let Err(why) = read {
                reader.refuse(&vars::HEADERS, why);
            }
            is_read
        });
        let protocol = reader.read::<Protobuf>(&vars::PROTOCOL);
        let timeout = milliseconds(reader, &vars::TIMEOUT);
        let service_name = reader.optional(&vars::SERVICE_NAME);
        let attributes = reader.optional::<Pairs>(&vars::RESOURCE_ATTRIBUTES);
        let sampler = reader.read::<Sampler>(&vars::SAMPLER);
        let share = reader.read::<Share>(&vars::SAMPLER_ARG);
        let slow = reader.duration(&vars::KEEP_SLOWER_THAN, Duration::from_millis(1)..=Duration::from_secs(3600));
        let queue = count(reader, &vars::QUEUE);
        let batch = count(reader, &vars::BATCH);
        let delay = milliseconds(reader, &vars::DELAY);
        let endpoint = traces?.map(|Endpoint(url)| url).or(base?.map(|Endpoint(url)| with_path(url)));
        let (is_disabled, Protobuf, timeout, service_name) = (is_disabled?, protocol?, timeout?, service_name?);
        let attributes = attributes?.map(|Pairs(pairs)| pairs).unwrap_or_default();
        let (sampler, slow) = (sampler?.with_share(share?), slow?);
        let (queue, batch, delay) = (queue?, batch?, delay?);
        let config = |endpoint| Self {
            endpoint,
            headers,
            timeout,
            service_name,
            attributes,
            sampler,
            slow,
            queue,
            batch,
            delay,
        };
        Some(endpoint.filter(|_| !is_disabled).map(config))
    }

    /// The headers for the collector.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let pairs = self.headers.as_ref().and_then(|headers| headers.expose_secret().parse::<Pairs>().ok());
        pairs.map(|Pairs(pairs)| pairs).unwrap_or_default()
    }
}

fn with_path(mut url: Url) -> Url {
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

fn milliseconds(reader: &mut Reader, var: &'static crate::config::Var) -> Option<Duration> {
    let given = reader.read::<u64>(var)?;
    if (1..=60_000).contains(&given) {
        return Some(Duration::from_millis(given));
    }
    reader.refuse(var, format!("{given} is not in that range"));
    None
}

fn count(reader: &mut Reader, var: &'static crate::config::Var) -> Option<usize> {
    let given = reader.read::<usize>(var)?;
    if (1..=1_000_000).contains(&given) {
        return Some(given);
    }
    reader.refuse(var, format!("{given} is not in that range"));
    None
}

struct Endpoint(Url);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{} is neither http nor https", url.scheme()));
        }
        Ok(Self(url))
    }
}

struct Protobuf;

impl FromStr for Protobuf {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "http/protobuf" { Ok(Self) } else { Err("this program can't send spans so") }
    }
}

/// `name=value,name=value`; values are percent-encoded, as in W3C's baggage.
struct Pairs(Vec<(String, String)>);

impl FromStr for Pairs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').ok_or("a part has no =")?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8();
            let value = value.map_err(|_| "a value is not UTF-8")?;
            let name = name.trim();
            if name.is_empty() { Err("a part has no name") } else { Ok((name.to_owned(), value.into_owned())) }
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }
}

/// Which traces are exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    follows_parent: bool,
    share: Share,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Share {
    /// Said by the sampler's name.
    Fixed(f64),
    /// Said by the argument.
    Asked,
}

impl Sampler {
    const fn with_share(self, asked: Share) -> Self {
        match self.share {
            Share::Fixed(_) => self,
            Share::Asked => Self { share: asked, ..self },
        }
    }

    /// Whether a new span of this trace is exported. Of traces that begin here, it is the same share in all programs, since
    /// the trace's id decides.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the share of all ids: to the bit it does not matter"
    )]
    pub fn samples(&self, parent: Option<bool>, trace: u128) -> bool {
        let Share::Fixed(share) = self.share else { return true };
        match parent {
            Some(is_sampled) if self.follows_parent => is_sampled,
            _ => ((trace as u64) >> 1) < (share * (1_u64 << 63) as f64) as u64,
        }
    }
}

impl FromStr for Sampler {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (follows_parent, name) = match text.strip_prefix("parentbased_") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let share = match name {
            "always_on" => Share::Fixed(1.0),
            "always_off" => Share::Fixed(0.0),
            "traceidratio" => Share::Asked,
            _ => return Err("no such sampler"),
        };
        Ok(Self { follows_parent, share })
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share: f64 = text.parse().map_err(|_| "no number")?;
        if (0.0..=1.0).contains(&share) { Ok(Self::Fixed(share)) } else { Err("not from 0 to 1") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<TracingConfig>, String> {
        let read = Reader::from_pairs(pairs.iter().copied()).whole(TracingConfig::read);
        read.map_err(|error| error.to_string())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn without_an_endpoint_or_disabled_there_is_no_tracing() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
    }

    #[test]
    fn the_path_is_added_to_the_base_and_not_to_the_endpoint_of_traces() {
        assert_eq!(read(&[ENDPOINT]).unwrap().unwrap().endpoint.as_str(), "http://collector:4318/v1/traces");
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c.example/otlp/");
        assert_eq!(read(&[base]).unwrap().unwrap().endpoint.as_str(), "https://c.example/otlp/v1/traces");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://tempo:4318/push");
        assert_eq!(read(&[ENDPOINT, traces]).unwrap().unwrap().endpoint.as_str(), "http://tempo:4318/push");
    }

    #[test]
    fn what_can_not_be_is_named_with_its_variable_and_no_header_is_shown() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://x"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_TRACES_SAMPLER", "some"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_RESOURCE_ATTRIBUTES", "x"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_SDK_DISABLED", "yes"),
        ] {
            let told = read(&[(name, value)]).unwrap_err();
            assert!(told.contains(&format!("{name} is")), "{told}");
        }
        let told = read(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")]).unwrap_err();
        assert!(told.contains("OTEL_EXPORTER_OTLP_HEADERS is refused") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn headers_and_attributes_are_pairs() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a=b, x = y");
        let config = read(&[ENDPOINT, headers, ("OTEL_RESOURCE_ATTRIBUTES", "a=b,")]).unwrap().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(config.headers(), [pair("authorization", "Bearer a=b"), pair("x", "y")]);
        assert_eq!(config.attributes, [pair("a", "b")]);
        assert!(!format!("{config:?}").contains("Bearer"));
    }

    #[test]
    fn a_share_of_the_traces_that_begin_here_is_sampled_and_others_follow_their_parent() {
        let sampler = |name: &str, share: &str| {
            let given = [ENDPOINT, ("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", share)];
            read(&given).unwrap().unwrap().sampler
        };
        let traces = || (0..10_000_u64).map(|n| u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let sampled = |sampler: Sampler, parent| traces().filter(|trace| sampler.samples(parent, *trace)).count();
        let some = sampled(sampler("parentbased_traceidratio", "0.1"), None);
        assert!((900..1100).contains(&some), "{some}");
        assert_eq!(sampled(sampler("parentbased_traceidratio", "0.1"), Some(true)), 10_000);
        assert_eq!(sampled(sampler("parentbased_traceidratio", "1"), Some(false)), 0);
        assert_eq!(sampled(sampler("traceidratio", "0.1"), Some(true)), some, "it doesn't ask the parent");
        assert_eq!(sampled(sampler("parentbased_always_on", "0"), None), 10_000, "the argument is not its");
        assert_eq!(sampled(sampler("always_off", "1"), Some(true)), 0);
    }
}
