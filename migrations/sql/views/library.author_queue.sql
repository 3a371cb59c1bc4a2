create or replace view library.author_queue as
select l.item_id as input_id,
       case when l.done_at is not null then 'done'
            when l.failed_at is not null then 'dead'
            when l.leased_until >= now() then 'leased'
            when l.not_before > now() then 'waiting'
            else 'open' end as state,
       l.attempts, l.failures, l.reason, l.last_error, l.holder, l.leased_until, l.heartbeat_at, l.not_before,
       l.enqueued_at, l.done_at, l.failed_at
  from core.leases l
 where l.task = 'author';
comment on view library.author_queue is
  'Inputs that are to be authored, are being authored, or were: one row each.';
comment on column library.author_queue.input_id is 'See library.inputs.';
comment on column library.author_queue.state is
  'open, leased (a worker has it), waiting (for not_before, after a failure), done, or dead (given up).';
comment on column library.author_queue.attempts is
  'Times it was claimed, but for those that ended for reasons of others, such as an outage.';
comment on column library.author_queue.failures is
  'Attempts that failed through the input itself; the others'' workers were killed.';
comment on column library.author_queue.reason is
  'Of the last failure: see library.author_dead_letters.';
comment on column library.author_queue.last_error is 'Of the last failure, a sentence.';
comment on column library.author_queue.holder is 'The worker that has it: host:process.start:index.';
comment on column library.author_queue.leased_until is 'Then it is taken back, unless the worker renews it.';
comment on column library.author_queue.heartbeat_at is 'When the worker last renewed it.';
comment on column library.author_queue.not_before is 'When it may be tried again.';
comment on column library.author_queue.enqueued_at is 'When it was planned.';
comment on column library.author_queue.done_at is 'When its results were stored.';
comment on column library.author_queue.failed_at is 'When it was given up.';
grant select on library.author_queue to analyst, guidealign_reviewer, guidealign_app;
