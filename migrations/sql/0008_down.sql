-- Takes revision 0008 back: a rejection is a hold again, with the outcome fail on its gate.

alter table core.gate_decisions disable trigger append_only;
update core.gate_decisions set verdict = 'hold' where verdict = 'reject';
alter table core.gate_decisions enable trigger append_only;

alter table core.gate_decisions drop constraint ck_gate_decisions_verdict;
alter table core.gate_decisions add constraint ck_gate_decisions_verdict
  check (verdict in ('promote', 'hold', 'inconclusive'));

comment on column library.gate_history.verdict is 'promote, hold or inconclusive: of all checks together';
