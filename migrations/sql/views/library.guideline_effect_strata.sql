-- The effect of guidelines. Whether a group is withheld is drawn for each request and group with
-- a known probability. Within a key and a probability the two sides differ by the draw alone;
-- across them they do not, so effects are taken inside such strata and then combined.
create or replace view library.guideline_effect_strata as
with drawn as (
  select r.response_id, r.key_id, r.withhold_share, g.name as category,
         g.name = any (r.withheld_groups) as withheld
    from core.gateway_requests r
    cross join lateral (select distinct unnest(r.groups) as name) g
   where r.withhold_share > 0 and r.withhold_share < 1
), requests as (
  select category, key_id, withhold_share,
         count(*) filter (where not withheld) as n_applied, count(*) filter (where withheld) as n_withheld
    from drawn group by 1, 2, 3
), outcomes as (
  select distinct on (f.response_id, f.source, f.measure) f.response_id, f.source, f.measure, f.value
    from core.feedback f order by f.response_id, f.source, f.measure, f.id desc
), arms as (
  select d.category, d.key_id, d.withhold_share, o.source, o.measure,
         count(*) filter (where not d.withheld) as n_applied, avg(o.value) filter (where not d.withheld) as applied,
         count(*) filter (where d.withheld) as n_withheld, avg(o.value) filter (where d.withheld) as withheld
    from drawn d join outcomes o on o.response_id = d.response_id
   group by 1, 2, 3, 4, 5
)
select a.category, a.source, a.measure, a.key_id, a.withhold_share,
       r.n_applied as n_requests_applied, r.n_withheld as n_requests_withheld,
       a.n_applied, a.n_withheld, a.applied, ia.low as applied_low, ia.high as applied_high,
       a.withheld, iw.low as withheld_low, iw.high as withheld_high,
       a.applied - a.withheld as difference,
       a.applied - a.withheld - sqrt((a.applied - ia.low) ^ 2 + (iw.high - a.withheld) ^ 2) as ci_low,
       a.applied - a.withheld + sqrt((ia.high - a.applied) ^ 2 + (a.withheld - iw.low) ^ 2) as ci_high
  from arms a
  join requests r using (category, key_id, withhold_share)
  left join lateral library.wilson(a.applied, a.n_applied) ia on true
  left join lateral library.wilson(a.withheld, a.n_withheld) iw on true;
comment on view library.guideline_effect_strata is 'Outcomes with and without a group of guidelines, by key and probability of withholding; interval by Newcombe (1998).';
comment on column library.guideline_effect_strata.category is 'The group: all guidelines of a risk category or quality topic.';
comment on column library.guideline_effect_strata.source is 'Who gave the outcome: user, or a judge.';
comment on column library.guideline_effect_strata.measure is 'thumbs, or the name of a score between 0 and 1';
comment on column library.guideline_effect_strata.key_id is 'See library.gateway_keys.';
comment on column library.guideline_effect_strata.withhold_share is 'The probability that was drawn with.';
comment on column library.guideline_effect_strata.n_requests_applied is 'Requests in which the group was found and used, with an outcome or without.';
comment on column library.guideline_effect_strata.n_requests_withheld is 'Requests in which the group was found and withheld, with an outcome or without.';
comment on column library.guideline_effect_strata.n_applied is 'Outcomes where it was used.';
comment on column library.guideline_effect_strata.n_withheld is 'Outcomes where it was withheld.';
comment on column library.guideline_effect_strata.applied is 'Mean outcome where it was used.';
comment on column library.guideline_effect_strata.applied_low is 'Lower end of its 95% interval.';
comment on column library.guideline_effect_strata.applied_high is 'Upper end of its 95% interval.';
comment on column library.guideline_effect_strata.withheld is 'Mean outcome where it was withheld.';
comment on column library.guideline_effect_strata.withheld_low is 'Lower end of its 95% interval.';
comment on column library.guideline_effect_strata.withheld_high is 'Upper end of its 95% interval.';
comment on column library.guideline_effect_strata.difference is 'Used less withheld: above 0 the group helps. Null: one side has no outcome yet.';
comment on column library.guideline_effect_strata.ci_low is 'Lower end of the 95% interval of the difference.';
comment on column library.guideline_effect_strata.ci_high is 'Upper end of the 95% interval of the difference.';
grant select on library.guideline_effect_strata to analyst, guidealign_reviewer, guidealign_app;
