-- The numbers go with their column.
select 1;
