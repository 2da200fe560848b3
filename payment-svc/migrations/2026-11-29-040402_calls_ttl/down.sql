drop index gateway_calls_by_age;
