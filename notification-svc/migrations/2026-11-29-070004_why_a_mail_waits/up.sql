-- What kind of failure last_error is, and since when the message has been failing.
alter table notifications add column error_code text;
alter table notifications add column failing_since timestamptz;
