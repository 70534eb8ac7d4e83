"""A site's statement as PDF, by typst: an extra, since few need it and it weighs 34 MB.

The texts go to the template as data, so none of them is ever markup. Only the fonts that typst
brings are used, so the bytes are the same on each machine. The PDF is tagged, and follows PDF/UA-1
unless a name has characters that those fonts lack; they are then shown as boxes.
"""

import json
from importlib.resources import files
from typing import Any

from tasks.core.errors import Refused
from tasks.core.report import Terms
from tasks.core.words import aud, change, clipped, count, day_name, kwh, month_name, shortest


def pdf(values: dict[str, Any]) -> bytes:
    """Return a site's statement as PDF, from what its page is filled in with.

    Raises:
        Refused: typst is not installed.
    """
    try:
        import typst
    except ImportError:
        raise Refused(
            "format: PDF needs typst, which is not installed here: pip install '.[pdf]' on the "
            "machine of the worker, or ask for html"
        ) from None
    template = files("tasks.pages").joinpath("templates", "site_statement.typ").read_bytes()
    inputs = {"statement": json.dumps(_texts(values))}
    options: Any = {"format": "pdf", "ignore_system_fonts": True, "sys_inputs": inputs}
    try:
        made = typst.compile(template, pdf_standards="ua-1", **options)
    except typst.TypstError as problem:
        if "could not be displayed" not in problem.message:
            raise
        made = typst.compile(template, **options)
    assert isinstance(made, bytes)
    return made


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    """Return all that is on the PDF, as text."""
    site, settlement, vpp = values["site"], values["settlement"], clipped(values["vpp"])
    amount, month = site.site_revenue_after_fees, values["month"]
    start = "Your balance is" if amount < 0 else "You receive"
    reasons = "; ".join(values["reasons"])
    return {
        "title": f"{start} {aud(amount)} AUD for {month_name(month)}",
        "vpp": vpp,
        "facts": [
            ("Address", clipped(site.address)),
            ("Meter (NMI)", site.nmi),
            ("Statement", values["number"]),
            ("Revision", f"{settlement.revision}{f', because {reasons}' if reasons else ''}"),
        ],
        "replaces": _replaces(values),
        "lines": [(step.label, aud(step.amount)) for step in values["steps"]],
        "waived": _waived(values),
        "words": _words(values),
        "dispute": [
            f"Tell {vpp}, and name the statement {values['number']}. Ask for the dispute file: it "
            "has every charge and discharge behind this statement, and says how to check it by "
            "hand. If something is found, you get a new revision, which says what changed.",
            "If you still do not agree, the energy ombudsman of your state can say whether they "
            "can help, free of charge.",
        ],
        "check": f"This is what reports/{month}/{settlement.vpp_id}/r{settlement.revision}.json "
        f"has on your meter. Its SHA-256 is {values['sha256']}.",
        "days": [
            (day_name(day), kwh(taken), kwh(out), aud(worth))
            for day, taken, out, worth in (values["days"] or {"table": []})["table"]
        ],
    }


def _replaces(values: dict[str, Any]) -> str:
    revision, before = values["settlement"].revision, values["before"]
    if revision == 1:
        return ""
    now = values["site"].site_revenue_after_fees
    amounts = (
        "The amount is the same."
        if before is None
        else f"The amount was {aud(before)} then, and is {aud(now)} now: {change(before, now)}."
    )
    return f"This statement replaces revision {revision - 1}. {amounts}"


def _waived(values: dict[str, Any]) -> str:
    part, fee = values["part"], values["site"].site_daily_fee
    if not part or part["fee_due"] <= fee:
        return ""
    return (
        f"Your daily fee would have been {aud(part['fee_due'])}. A fee never takes more than your "
        f"battery earned, so {aud(part['fee_due'] - fee)} of it are waived. You do not owe them "
        "later."
    )


def _words(values: dict[str, Any]) -> list[str]:
    site, terms = values["site"], values["settlement"].terms
    return [
        f"In {month_name(values['month'])} your battery took in {kwh(site.energy_charged_kwh)} kWh "
        f"and gave out {kwh(site.energy_discharged_kwh)} kWh. Of what all batteries of the VPP "
        f"earn, the VPP keeps {_each(terms, 'revenue_percentage')}. 80% of the rest stay with the "
        "battery that earned them; 20% go into a pool, which is shared out each day by the size of "
        f"the batteries (yours: {kwh(site.site_capacity_kwh)} kWh).",
        f"For the {count(site.member_days, 'day')} on which you were a member a daily fee is taken "
        f"({_each(terms, 'daily_fee_aud')}, times 28 over the days of the month), which never is "
        "more than your battery earned.",
    ]


def _each(terms: list[Terms], name: str) -> str:
    """Return a percentage or a fee under each of the month's terms."""
    texts = [
        f"{shortest(of.revenue_percentage)}%"
        if name == "revenue_percentage"
        else aud(of.daily_fee_aud)
        for of in terms
    ]
    if len(terms) == 1:
        return texts[0]
    return ", ".join(
        f"{text} until {day_name(of.last_day)}" for text, of in zip(texts, terms, strict=True)
    )
