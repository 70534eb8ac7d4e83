-- The changes that count as never made, since a withdrawal that was recorded by $as_of
-- names them: one row each.
select withdraws as seq
from read_parquet($changes)
where withdraws is not null and recorded_at <= $as_of and seq <= $last_seq
