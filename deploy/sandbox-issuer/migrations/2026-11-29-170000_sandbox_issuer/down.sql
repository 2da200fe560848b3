drop table attempts;
drop table sessions;
drop table authorization_codes;
drop table signing_keys;
drop table accounts;
