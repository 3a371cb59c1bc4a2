-- Takes revision 0009 back.

drop table core.switches;
