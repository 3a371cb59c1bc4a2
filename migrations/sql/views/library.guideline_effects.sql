create or replace view library.guideline_effects as
with weighed as (
  select s.*, w.weight, w.weight / nullif(sum(w.weight) over (partition by s.category, s.source, s.measure), 0) as part
    from library.guideline_effect_strata s
    cross join lateral (select s.n_applied::float8 * s.n_withheld / (s.n_applied + s.n_withheld) as weight) w
), combined as (
  select category, source, measure, count(*) filter (where weight > 0) as n_strata,
         sum(n_requests_applied)::bigint as n_requests_applied, sum(n_requests_withheld)::bigint as n_requests_withheld,
         coalesce(sum(n_applied) filter (where weight > 0), 0)::bigint as n_applied,
         coalesce(sum(n_withheld) filter (where weight > 0), 0)::bigint as n_withheld,
         sum(part * applied) filter (where weight > 0) as applied,
         sum(part * withheld) filter (where weight > 0) as withheld,
         sqrt(sum((part * (applied - applied_low)) ^ 2 + (part * (withheld_high - withheld)) ^ 2)
           filter (where weight > 0)) as below,
         sqrt(sum((part * (applied_high - applied)) ^ 2 + (part * (withheld - withheld_low)) ^ 2)
           filter (where weight > 0)) as above
    from weighed group by 1, 2, 3
)
select category, source, measure, n_requests_applied, n_requests_withheld, n_strata, n_applied, n_withheld,
       applied, withheld, applied - withheld as difference,
       applied - withheld - below as ci_low, applied - withheld + above as ci_high
  from combined;
comment on view library.guideline_effects is 'The effect of each group of guidelines on what users and judges think of answers: used less withheld at random, with its 95% interval.';
comment on column library.guideline_effects.category is 'The group: all guidelines of a risk category or quality topic.';
comment on column library.guideline_effects.source is 'Who gave the outcome: user, or a judge.';
comment on column library.guideline_effects.measure is 'thumbs, or the name of a score between 0 and 1';
comment on column library.guideline_effects.n_requests_applied is 'Requests in which the group was found and used, with an outcome or without.';
comment on column library.guideline_effects.n_requests_withheld is 'Requests in which the group was found and withheld: compare the shares that have an outcome.';
comment on column library.guideline_effects.n_strata is 'Keys and probabilities with outcomes on both sides.';
comment on column library.guideline_effects.n_applied is 'Outcomes in them where it was used.';
comment on column library.guideline_effects.n_withheld is 'Outcomes in them where it was withheld.';
comment on column library.guideline_effects.applied is 'Mean outcome where it was used, strata weighed as in the difference.';
comment on column library.guideline_effects.withheld is 'Mean outcome where it was withheld, strata weighed as in the difference.';
comment on column library.guideline_effects.difference is 'Used less withheld (Mantel-Haenszel weights): above 0 the group helps. Null: not known yet.';
comment on column library.guideline_effects.ci_low is 'Lower end of its 95% interval (Newcombe 1998, combined over strata after Zou and Donner 2008).';
comment on column library.guideline_effects.ci_high is 'Upper end of its 95% interval.';
grant select on library.guideline_effects to analyst, guidealign_reviewer, guidealign_app;
