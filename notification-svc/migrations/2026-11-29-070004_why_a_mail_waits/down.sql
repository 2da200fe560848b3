alter table notifications drop column error_code, drop column failing_since;
