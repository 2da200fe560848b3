drop index notifications_by_age;
