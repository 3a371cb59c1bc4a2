drop view library.preferences;
drop table core.preference_set_items;
drop table core.preference_sets;
drop table core.preference_judgements;
drop table core.plain_responses;
