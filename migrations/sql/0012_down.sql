-- Takes revision 0012 back: the answers go, the scores stay.

drop view library.evaluation_scores, library.evaluation_runs;
drop table core.evaluation_answers, core.evaluation_runs;
