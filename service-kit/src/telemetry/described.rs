//! What the kit's metrics are, as `# HELP` says it. Names follow <https://prometheus.io/docs/practices/naming/>.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

pub(super) fn describe() {
    http();
    database();
    consumer();
    work();
    describe_counter!(
        "trace_spans_total",
        "Spans by outcome: exported, dropped since the queue was full, or failed since the collector did not take them."
    );
    describe_gauge!("build_info", "1, with the version of this program as a label.");
}

fn http() {
    describe_histogram!(
        "http_request_duration_seconds",
        "Requests by method, route and status, until the answer is made."
    );
    describe_counter!("http_requests_given_up_total", "Requests that took too long and were answered with 503.");
    counter!("http_requests_given_up_total").increment(0);
}

fn database() {
    describe_gauge!("database_pool_connections", "Connections of the pool: `state` is idle or used.");
    describe_gauge!("database_pool_connections_max", "The most connections that the pool opens.");
    describe_gauge!("database_pool_waiting", "Work of any kind that waits for a connection now.");
    describe_histogram!("database_pool_wait_seconds", "How long work of a kind (`share`) waited for a connection.");
    describe_counter!("database_pool_timeouts_total", "Work of a kind (`share`) that got no connection in time.");
    describe_counter!("database_connections_closed_total", "Connections that were not fit for more use, by why.");
    describe_counter!(
        "housekeeping_deleted_rows_total",
        "Rows that were kept for as long as they are to be, by table."
    );
    describe_gauge!(
        "database_oldest_transaction_seconds",
        "For how long the oldest open transaction of this database has been open, as far as this role is shown; 0 if none is."
    );
}

fn consumer() {
    describe_gauge!("consumer_lag_records", "Events of a partition that are not handled yet.");
    describe_gauge!(
        "consumer_lag_seconds",
        "For how long the oldest event of a partition has waited at most; 0 if none waits."
    );
    describe_histogram!("consumer_batch_records", "Events that were handled in one transaction of a lane.");
    describe_histogram!(
        "consumer_batch_seconds",
        "How long a lane took for a batch, with its retries, until the commit."
    );
    describe_histogram!("consumer_shared_records", "Events of all lanes that were handled in one shared transaction.");
    describe_counter!("consumer_shared_transactions_total", "Transactions that lanes share, by outcome.");
    describe_counter!("consumer_events_total", "Events that are done with, by topic and outcome.");
    describe_counter!("consumer_retries_total", "Batches that failed for now and are tried again.");
    describe_counter!("consumer_lost_events_total", "Events that are missing from their topic, as sequences show.");
    describe_gauge!("consumer_lane_waits_for_lock", "1 while a partition waits for a lock that another session holds.");
    describe_gauge!("consumer_dead_letters", "Events that could not be handled and wait for somebody.");
    describe_gauge!("consumer_parked_keys", "Keys whose events wait behind a dead letter.");
    describe_gauge!("consumer_broker_away", "1 while no broker has answered this consumer lately.");
    describe_gauge!("consumer_stopped", "1 while this consumer does not poll, or a lane of it has died.");
    describe_counter!("consumer_replays_total", "Dead letters that were tried again, by topic and outcome.");
    describe_gauge!("inbox_reach_seconds", "For how long the inbox remembers what was handled.");
    describe_histogram!(
        "event_hop_seconds",
        "How long events take at each hop: announced, published, waited, handled."
    );
}

fn work() {
    describe_counter!("timers_fired_total", "Timers that have fired, by kind.");
    describe_counter!("timers_failed_total", "Timers that failed and are tried again, by kind.");
    describe_histogram!("timer_late_seconds", "How long after it was due a timer fired, by kind.");
    describe_gauge!("timers_oldest_due_seconds", "For how long a timer has been due that can't fire; 0 if all can.");
    describe_counter!("outside_calls_total", "Calls to servers outside, by worker and outcome.");
    describe_histogram!("outside_call_seconds", "How long a call to a server outside took, by worker.");
    describe_gauge!("outside_server_away", "1 while a server outside can't be reached or refuses everybody.");
}
