drop index refunds_made_elsewhere_once;
alter table refunds drop constraint refunds_made_elsewhere_have_a_name;
alter table refunds drop column origin;
