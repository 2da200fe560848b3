alter table orders
    drop column waiting_for, drop column waiting_from, drop column overdue_at, drop column waits_for_people,
    drop column overdue_not_before;
