//! How a service stands up: configuration, telemetry, pool, HTTP, consumer, inbox, dead letters, outside calls, timers.
