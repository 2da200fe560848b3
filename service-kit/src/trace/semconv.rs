//! The names of attributes, as OpenTelemetry's semantic conventions 1.36.0 have them.
//!
//! The conventions for messaging are still in development: they may change their names, and then this file changes, and
//! with it dashboards and queries. Names that begin with `quadrille.` are the project's own.

/// Which version the names are of.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.36.0";

/// A program.
pub const SERVICE_NAME: &str = "service.name";
/// Its version.
pub const SERVICE_VERSION: &str = "service.version";
/// The kind of a failure, one of few.
pub const ERROR_TYPE: &str = "error.type";

/// GET, POST and so on.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The route's pattern.
pub const HTTP_ROUTE: &str = "http.route";
/// The answer's status.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";

/// `postgresql`.
pub const DB_SYSTEM_NAME: &str = "db.system.name";

/// `kafka`.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// The topic.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The partition.
pub const MESSAGING_DESTINATION_PARTITION_ID: &str = "messaging.destination.partition.id";
/// The offset.
pub const MESSAGING_KAFKA_OFFSET: &str = "messaging.kafka.offset";
/// What is done: `send`, `process` and so on.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `send` or `process`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The consumer group.
pub const MESSAGING_CONSUMER_GROUP_NAME: &str = "messaging.consumer.group.name";
/// How many events are handled together.
pub const MESSAGING_BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
/// The event's id.
pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
/// What the event belongs to: the order's id.
pub const MESSAGING_MESSAGE_CONVERSATION_ID: &str = "messaging.message.conversation_id";
/// The event's type.
pub const CLOUDEVENTS_EVENT_TYPE: &str = "cloudevents.event_type";

/// What became of an event, a transaction or a call.
pub const OUTCOME: &str = "quadrille.outcome";
/// How often it was tried, this time included.
pub const TRIES: &str = "quadrille.tries";
/// Why a span is exported although its trace is not sampled: `error` or `slow`.
pub const KEPT: &str = "quadrille.kept";
/// The order.
pub const ORDER_ID: &str = "quadrille.order.id";
