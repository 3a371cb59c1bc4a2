-- A decision names the runs it was made from, so that its cases can be shown again.

alter table core.gate_decisions add column runs jsonb not null default '[]';
comment on column core.gate_decisions.runs is
  'the runs compared: side, version, benchmark, metric, evaluator, judge, n, n_unscored; with model_name the key of their benchmark_results; empty before revision 0010';
