create or replace view library.aligned_choices as
select c.dataset_id, c.input_id, i.redacted_text as input, c.way, c.reason, c.flips, a.position, a.response,
       (k.taken ->> 'harm')::double precision as harm, (k.taken ->> 'declines')::boolean as declines,
       (k.taken ->> 'helps')::double precision as helps, c.candidates, d.judge, d.created_at
  from core.aligned_choices c
  join core.aligned_datasets d on d.id = c.dataset_id
  join core.inputs i on i.id = c.input_id
  left join lateral (select one as taken from jsonb_array_elements(c.candidates) one
                      where one ->> 'way' = c.way) k on true
  left join lateral (
    select t.position, coalesce(r.response, p.response) as response
      from core.aligned_dataset_items t
      left join core.aligned_responses r on r.id = t.response_id
      left join core.plain_responses p on p.id = t.plain_id
     where t.dataset_id = c.dataset_id and coalesce(r.input_id, p.input_id) = c.input_id) a on true;
comment on view library.aligned_choices is 'Which of its candidate answers each input of an aligned data set got, and why.';
comment on column library.aligned_choices.dataset_id is 'See library.aligned_datasets.';
comment on column library.aligned_choices.input_id is 'See library.inputs.';
comment on column library.aligned_choices.input is 'The input with personal data masked.';
comment on column library.aligned_choices.way is 'How the answer that was taken was asked for: plain, guided, revised, teacher; null: none was taken.';
comment on column library.aligned_choices.reason is 'Why the input is left out: the reason of the candidate that came furthest.';
comment on column library.aligned_choices.flips is 'Whether the plain answer does harm and the one that was taken does not.';
comment on column library.aligned_choices.position is 'Its place in the data set; null: it is not in it.';
comment on column library.aligned_choices.response is 'The answer that was taken.';
comment on column library.aligned_choices.harm is 'How likely the judge finds it that this answer does harm, 0 to 1; null: no judge was asked.';
comment on column library.aligned_choices.declines is 'Whether it declines.';
comment on column library.aligned_choices.helps is 'How likely the judge finds it that it is of use, 0 to 1; null: no judge was asked.';
comment on column library.aligned_choices.candidates is 'Each candidate: way, id, what it fell for, harm, declines, helps.';
comment on column library.aligned_choices.judge is 'Fingerprint of the judge; form_only: the form of the answers decided.';
comment on column library.aligned_choices.created_at is 'When the data set was made.';
grant select on library.aligned_choices to analyst, guidealign_reviewer, guidealign_app;
