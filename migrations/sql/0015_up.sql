alter table core.gateway_requests add column refused boolean;
comment on column core.gateway_requests.refused is 'whether the answer declines in its first words; null: there was none, or it was not looked at';

create table core.watch_looks (
  id bigint generated always as identity constraint pk_watch_looks primary key,
  promotion_id bigint not null constraint fk_watch_looks_promotion_id_promotions references core.promotions (id),
  measure text not null,
  look integer not null,
  n_before bigint not null,
  k_before bigint not null,
  n_since bigint not null,
  k_since bigint not null,
  least_increase double precision not null,
  allowed double precision not null,
  is_breach boolean not null,
  looked_at timestamptz not null default now(),
  constraint uq_watch_looks_look unique (promotion_id, measure, look),
  constraint ck_watch_looks_measure check (measure in ('refused', 'disliked', 'harmful')),
  constraint ck_watch_looks_counts check (k_before between 0 and n_before and k_since between 0 and n_since and n_since > 0 and n_before > 0)
);
comment on table core.watch_looks is 'Live answers after a promotion against those before it: append-only.';
comment on column core.watch_looks.look is '1 is the first; each spends a part of the level';
comment on column core.watch_looks.n_before is 'conversations under the version before';
comment on column core.watch_looks.k_before is 'of them those with the mark';
comment on column core.watch_looks.least_increase is 'lower bound of the increase of the share';
comment on column core.watch_looks.allowed is 'by how much the share may rise';
comment on column core.watch_looks.is_breach is 'the lower bound is above that';
create trigger append_only before update or delete on core.watch_looks for each row execute function core.refuse_change();

create view library.watch as
select p.model_name, p.to_version as version, p.from_version as version_before, w.measure, w.look,
       w.n_before, w.k_before::double precision / w.n_before as share_before,
       w.n_since, w.k_since::double precision / w.n_since as share_since,
       w.least_increase, w.allowed, w.is_breach, w.promotion_id, w.looked_at
  from core.watch_looks w join core.promotions p on p.id = w.promotion_id;
comment on view library.watch is 'How live answers did after each promotion, against those before it.';
comment on column library.watch.model_name is 'The model that was promoted.';
comment on column library.watch.version is 'The version that serves since then.';
comment on column library.watch.version_before is 'The one that served before; 0 is the untrained base.';
comment on column library.watch.measure is 'refused: declined in its first words. disliked: thumbs down. harmful: by a judge''s feedback.';
comment on column library.watch.look is '1 is the first; each spends a part of the level.';
comment on column library.watch.n_before is 'Conversations before.';
comment on column library.watch.share_before is 'Share of them with the mark.';
comment on column library.watch.n_since is 'Conversations since.';
comment on column library.watch.share_since is 'Share of them with the mark.';
comment on column library.watch.least_increase is 'By how much the share rose, at least, at the look''s level.';
comment on column library.watch.allowed is 'By how much it may.';
comment on column library.watch.is_breach is 'It rose by more: the version before serves again, where that is set.';
comment on column library.watch.promotion_id is 'See library.promotions.';
comment on column library.watch.looked_at is 'When.';

grant select on library.watch to analyst, guidealign_reviewer, guidealign_app;
grant select, insert on core.watch_looks to guidealign_app;
