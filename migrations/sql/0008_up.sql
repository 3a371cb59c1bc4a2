-- A challenger that was shown to be worse is told from one on which nothing was decided.

alter table core.gate_decisions drop constraint ck_gate_decisions_verdict;
alter table core.gate_decisions add constraint ck_gate_decisions_verdict
  check (verdict in ('promote', 'hold', 'inconclusive', 'reject'));

comment on column library.gate_history.verdict is
  'promote, hold, inconclusive or reject: of all checks together; before revision 0008 a rejection stands as hold';
