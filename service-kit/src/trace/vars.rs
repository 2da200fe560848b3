//! The variables of tracing. They have OpenTelemetry's names and meanings
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

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
