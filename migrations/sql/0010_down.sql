-- Takes revision 0010 back.

alter table core.gate_decisions drop column runs;
