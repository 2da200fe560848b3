alter table orders drop column history_pruned_at;
drop index order_history_by_age;
