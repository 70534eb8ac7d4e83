"""Charts: where bars begin and end."""

from decimal import Decimal

from tasks.pages.figures import Step, columns, waterfall


def test_a_waterfall_ends_where_it_adds_up_to() -> None:
    steps = waterfall(
        [
            Step("revenue", Decimal(100), "total", is_sum=True),
            Step("fee", Decimal(-120), "vpp"),
            Step("sites", Decimal(-20), "sites", is_sum=True),
        ]
    )
    assert [(step.start, step.width) for step in steps] == [(167, 833), (0, 1000), (0, 167)]


def test_columns_stack_up_and_down_from_zero() -> None:
    chart = columns(
        [[("a", Decimal(30)), ("b", Decimal(10)), ("c", Decimal(-10))], [("a", Decimal(0))]]
    )
    assert (chart.highest, chart.lowest, chart.zero) == (Decimal(40), Decimal(-10), 800)
    assert [(s.kind, s.top, s.height) for s in chart.columns[0]] == [
        ("a", 200, 600),
        ("b", 0, 200),
        ("c", 800, 200),
    ]
    assert chart.columns[1] == []
    assert columns([]).zero == 0
