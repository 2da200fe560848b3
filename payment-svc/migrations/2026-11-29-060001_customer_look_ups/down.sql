drop table customer_look_ups;
