-- The batteries that were ever installed at the sites $nmis: one row each.
select distinct serial
from read_parquet($changes)
where change = 'add-battery' and nmi in (select unnest($nmis::varchar[]))
