use metrics::describe_counter;

/// Says what each metric is.
pub fn describe() {
    describe_counter!("notifications_total", "Attempts to send a message, by channel, template and outcome.");
    describe_counter!(
        "notifications_by_mail_instead_total",
        "Messages that were wanted by a channel that can't be used, and went by mail."
    );
}
