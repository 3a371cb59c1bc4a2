create or replace view library.augmentations as
select a.batch_id as run_id, b.started_at, b.finished_at, b.run_key, a.category, a.n_wanted,
       a.n_kept, a.stopped, a.n_answers, a.rejected, a.n_requests, a.n_tokens, a.cost_usd,
       a.model, a.prompt_version
  from core.augmentations a
  join core.ingest_batches b on b.id = a.batch_id;
comment on view library.augmentations is
  'What each run that grew inputs wanted, kept and rejected, by category.';
comment on column library.augmentations.run_id is 'Counts up with every batch of inputs.';
comment on column library.augmentations.started_at is 'When it was first started.';
comment on column library.augmentations.finished_at is 'Null: it runs, or the next run goes on with it.';
comment on column library.augmentations.run_key is 'The scheduler run that asked for it.';
comment on column library.augmentations.category is 'Of the new inputs.';
comment on column library.augmentations.n_wanted is 'Inputs that were missing when it began.';
comment on column library.augmentations.n_kept is 'Inputs that it added.';
comment on column library.augmentations.stopped is
  'target: reached; yield: the model had nothing new to say; budget: spent; no_seeds: nothing to start from; superseded: another run was asked for.';
comment on column library.augmentations.n_answers is 'Of the model, used or not.';
comment on column library.augmentations.rejected is 'How many texts were left out, by reason; each is in library.rejects.';
comment on column library.augmentations.n_requests is 'Sent for these answers, repeated ones included.';
comment on column library.augmentations.n_tokens is 'Read and written.';
comment on column library.augmentations.cost_usd is 'By the prices set for the endpoint; 0 where none are.';
comment on column library.augmentations.model is 'That was asked.';
comment on column library.augmentations.prompt_version is 'That it was asked with.';
grant select on library.augmentations to analyst, guidealign_reviewer, guidealign_app;
