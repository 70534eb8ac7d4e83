"""What starts, and in which order things happen.

Deployed (each a flow with a typed form; `prefect.yaml` has all of them):

    settle.py      settle-month: the monthly settlement; its preview and what-if
    backfill.py    backfill: past months again, a run of settle-month each
    check.py       check-settled: fails when last month is not settled
    closing.py     close-month, reopen-month
    watch.py       watch-months: what late data would change
    ingest.py      import-events, request-upload
    reports.py     generate-report, download-report
    explain.py     explain-site, verify-report, month-tables
    statements.py  make-statements, site-statement
    registry.py    create-vpp, create-site, add-battery, ..., withdraw-change, import-registry,
                   list-registry
    months.py      list-months

Called by these:

    story.py       the story of a settlement run, with its ifs and its one loop
    parameters.py  types of parameters that several flows share

Commands, which people start by hand on this machine:

    commands/demo.py          make demo
    commands/up.py            make up
    commands/alarms.py        make alarms
    commands/history.py       make history
    commands/local_stack.py   where the stack of make up is, for the commands beside it
    commands/instructions.py  the line program; `python -m flows.instructions` starts it too

A flow reads top to bottom: its form, then one call a stage. What a stage does is in `tasks`; its
package docstring is the map of the rooms.
"""
