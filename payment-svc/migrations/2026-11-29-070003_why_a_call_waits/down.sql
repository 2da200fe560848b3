drop index failing_calls;
alter table gateway_calls drop column error_code, drop column error, drop column failing_since;
