"""The house, in the order in which the data travels.

One rule: a room imports only rooms above it in this list, or beside it on its floor. Each prefix on
S3 is written by one room alone. A test proves both.

    core/         nouns and exact arithmetic: no S3, no database, no Prefect
    io/           edges without business: S3, DuckDB, templates, the         registry/
                  registry's log
    imports/      an inbox object becomes typed rows, rejected rows, and a    imports/
                  row of the catalog
    settlement/   the month's inputs become reports                           rejected/
    publication/  reports become revisions; a month is closed; run records    reports/ months/ runs/
    evidence/     what is published: made again, explained, taken apart       disputes/ tables/
    pages/        what is published, for people to look at                    statements/ results/
    runs/         what Prefect sees: stages, a run and its record, summaries
    sql/          one statement a file, in the folders of the stages

Which reader takes an inbox object is in imports/inbox_files.py; meter data and price files are read
by imports/member_files.py, with imports/nem12.py and imports/aemo_prices.py.

The way of one event's cents, from the CSV to the report:

    imports/spool.py            the object's bytes, to blocks of lines whose origin is known
    imports/event_rows.py       a line, to an event: energy in kWh, tariff in cents per kWh
    imports/event_files.py      block by block: events to events.parquet,
    imports/daily_sums.py       and their exact sums of a day to daily.parquet
    settlement/inputs.py        does its file count for the month?
    settlement/rejected_rows.py what of it is rejected, and which events count in its place
    settlement/overlaps.py      does the event stand in another file, too?
    settlement/settlement.py    its sums of a day come back from S3, and then
    settlement/registry_tables.py whose the sites are, and under which terms
    settlement/allocation.py    run through the rule, a statement a step:
        sql/events/month_events.sql           the sums of the month, meters' among them
        sql/events/valued_days.sql            whose they are, and with which sign (steps 1, 2)
        sql/allocation/site_days_revenue.sql  shared, or the VPP's alone (2, 3)
        sql/allocation/pools.sql              percentage, own part, pool (3 to 5)
        sql/allocation/site_months.sql        the site's exact month (5, 6)
        core/money.py                         whole cents that add up (8)
        sql/allocation/site_statements.sql    the fee, and what is left (9, 10)
    settlement/completeness.py  what the month lacks
    settlement/reports.py       cents to AUD, and the report
    publication/revisions.py    the report to reports/<month>/<vpp>.json

Meter data goes the same way from month_events on:

    imports/meter_files.py      NEM12 files, to readings.parquet
    imports/price_files.py      price files, to prices.parquet
    settlement/meter.py         which version and which price count, a day's energy x price
        sql/registry/meter_sites.sql          region and channels of each site and day
        sql/meter/meter_daily.sql             daily sums, in sixths of a cent
    settlement/data_changes.py  why a revision has other meter data or prices

Words, each for one thing:

    site             a meter point, named by its NMI (10 characters)
    event            one charge or discharge: energy (kWh) at a tariff (cents per kWh)
    daily sums       the events of a site on a day, added up; all that the rule needs
    interval         5, 15 or 30 minutes of a meter; its price is the market's for that time
    basis            what a site is settled from: its events, or its meter
    sixth            six times a sum in cents, whole where a mean of 3 or 6 prices has thirds
    valued days      daily sums with their VPP, sign and worth
    inbox            what lies under events/, meter-data/ and prices/ now: the truth about them
    import           what was read from one or more inbox objects, immutable
    catalog          which object versions are imported, and what became of their rows
    rejected row     a row that is no event, reading or price, but should be; it has a reason, as a
                     code until a person reads it
    ignored row      a row of meter data or prices that is none of ours; it is counted
    reading          a day of one channel of a meter, in micro-kWh for each of its intervals
    member           a file in a zip; the object is read whole or not at all
    correction       an event that says which rejected row it corrects
    registry         VPPs, sites and batteries, as a log of changes
    effective from   the day from which a change holds
    withdrawal       a change that takes another one back, as if it had never been made
    as of            the moment by which a change must have been recorded to be seen
    terms            a VPP's percentage, daily fee and two choices
    month's inputs   the files that count for a month, and the registry as of a moment
    settlement       the month's reports, as its inputs and the rule give them
    step, stage      a step is one of the rule's ten; a stage is a part of a run (a Prefect task)
    revision         one version of a report, written once
    claim            a revision that the month's record names before it is written
    month's record   months/<month>.json: revisions claimed, closings
    run record       runs/<month>/...json: what a run did, when, and from which inputs
    digest           16 or 64 characters that name a content
    statement        a page that shows a report, or a site's part of it, to people
    results          tables of all months' reports, for analysts and accounting
    late data        what would change in a month that is published
"""
