create or replace view library.trend as
select date_trunc('week', coalesce(i.occurred_at, i.received_at)) as week, i.category,
       count(*) as n_inputs, count(*) filter (where i.unsafe) as n_unsafe,
       count(*) filter (where i.unsafe)::float8 / nullif(count(i.unsafe), 0) as unsafe_share,
       count(*) filter (where i.severity = 3) as n_grave
  from library.inputs i
 where i.source <> 'starter'
 group by 1, 2;
comment on view library.trend is 'Risk by week: inputs of users, without those that ship with guidealign.';
comment on column library.trend.week is 'Its Monday; by when an input was said, else by when it was read.';
comment on column library.trend.category is 'The risk category; null: not assessed yet.';
comment on column library.trend.n_inputs is 'Inputs, near copies too.';
comment on column library.trend.n_unsafe is 'Those of them that are unsafe or may trigger an unsafe answer.';
comment on column library.trend.unsafe_share is 'Of the inputs that were assessed, 0 to 1.';
comment on column library.trend.n_grave is 'Inputs of severity 3.';
grant select on library.trend to analyst, guidealign_reviewer, guidealign_app;
