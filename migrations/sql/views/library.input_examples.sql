create or replace view library.input_examples as
select e.input_id, i.redacted_text as input, i.known_category as category, i.batch_id as run_id,
       e.example_id, x.redacted_text as example, x.source as example_source
  from core.input_examples e
  join core.inputs i on i.id = e.input_id
  join core.inputs x on x.id = e.example_id;
comment on view library.input_examples is
  'Which inputs a model was shown when it made an input: the provenance of grown inputs.';
comment on column library.input_examples.input_id is 'The grown one; see library.inputs.';
comment on column library.input_examples.input is 'Its text with personal data masked.';
comment on column library.input_examples.category is 'That it was grown for.';
comment on column library.input_examples.run_id is 'See library.augmentations.';
comment on column library.input_examples.example_id is 'What was shown; see library.inputs.';
comment on column library.input_examples.example is 'Its text with personal data masked.';
comment on column library.input_examples.example_source is 'augment: it was grown itself.';
grant select on library.input_examples to analyst, guidealign_reviewer, guidealign_app;
