-- Numbers and keys go with what holds them.
select 1;
