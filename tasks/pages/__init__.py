"""Pages, tables and lists of what is published, for people to look at.

    sources.py         the month's reports as they are published, and what explains them
    figures.py         the numbers of the charts: where each bar begins and ends
    vpp_statement.py   a VPP's month
    site_statement.py  a site's month, one page or all of a VPP in a zip
    pdf.py             either as PDF, where typst is installed
    month_chart.py     what VPPs and sites receive, as a picture for a run's summary
    overview.py        all months, and all VPPs of one
    statements.py      all of it for a month, in order
    results.py         Parquet, a month a file; and the data dictionary
    workbook.py        the month as an .xlsx
    payments.py        the month's payees as a CSV

What these write is a function of what is published: no clock, so the same bytes each time. Nothing
here is read by a settlement, and all of it can be made again at any time.
"""
