"""Hostile text on a page: tables, cards and figures for the notebooks that come with rnbexec.

Whatever is shown goes through `clean` (no control or text-direction characters, not endless), `unlink` (no address to click
on) and `escape` (no HTML), and indicators are defanged. Pages need no script and no style sheet, and have no background of their own, so that they look
the same in Jupyter, in a static report, on white and on black.
"""

import math
import re
from base64 import b64encode
from datetime import datetime, timezone
from unicodedata import east_asian_width

from rnbexec_verdict import COLOURS, SEVERITIES, badge, clean, escape, unlink

__all__ = ["COLOURS", "SEVERITIES", "badge", "card", "clean", "defang", "escape", "figures", "note", "show", "table", "timeline", "tree", "unlink"]

LINE = "rgba(128,128,128,0.35)"
SOFT = "#6c7178"  # legible on white and on black
TIME = re.compile(r"\d{4}-\d\d-\d\d(?: [\d:.]{5,15})?(?: UTC)?")  # never broken into lines
MONO = "font-family:ui-monospace,Consolas,Menlo,monospace;font-size:0.92em"


def _text(value, limit):
    return clean(unlink(clean(value, limit)), limit + 1)


def _html(value, limit):
    return escape(_text(value, limit), limit + 1)


def defang(value, limit=600):
    """An indicator that nobody can click: `hxxp://example[.]org`."""
    text = re.sub(r"(?i)^h(?:tt|xx)p", "hxxp", clean(value, limit))
    return re.sub(r"(?<!\[)\.(?!\])", "[.]", text)


def show(page, text):
    """Displays one thing, for a browser and for a terminal."""
    from IPython.display import display

    display({"text/html": page, "text/plain": text}, raw=True)


def note(text, severity=None):
    """One sentence; with a severity, as a call-out of its colour."""
    style = f"padding:2px 12px;border-left:3px solid {COLOURS[severity]}" if severity in COLOURS else f"color:{SOFT}"
    show(f'<p style="margin:6px 0;overflow-wrap:anywhere;{style}">{_html(text, 1500)}</p>', _text(text, 1500))


def table(rows, columns, *, badges=("severity",), mono=(), limit=600):
    """Rows (dicts) as a table: `columns` in order, `badges` drawn as severities, `mono` as code."""
    kept = [column for column in columns if any(row.get(column) not in (None, "") for row in rows)] or list(columns)

    # A column of short words keeps them whole; a command line may break wherever it has to.
    longest = {column: max((len(word) for row in rows for word in clean(row.get(column), limit).split()), default=0) for column in kept}

    def cell(row, column):
        value = row.get(column)
        wrap = "normal" if longest[column] <= 30 else "anywhere"
        space = "nowrap" if TIME.fullmatch(str(value)) else "normal"
        style = f"padding:4px 10px 4px 0;border-bottom:1px solid {LINE};text-align:left;vertical-align:top;white-space:{space};overflow-wrap:{wrap}"
        if column in badges:
            return f'<td style="{style}">{badge(value) if value else ""}</td>'
        if column in mono:
            return f'<td style="{style};{MONO}">{_html(value, limit)}</td>'
        return f'<td style="{style}">{_html(value, limit)}</td>'

    head = "".join(
        f'<th style="padding:4px 10px 4px 0;border-bottom:2px solid {LINE};text-align:left;vertical-align:bottom;font-weight:600;overflow-wrap:normal">{escape(column)}</th>'
        for column in kept
    )
    body = "".join(f'<tr style="background-color:transparent">{"".join(cell(row, column) for column in kept)}</tr>' for row in rows)
    lines = [" | ".join(kept)] + [" | ".join(_text(row.get(column), 120) for column in kept) for row in rows]
    show(
        f'<table style="border-collapse:collapse;table-layout:auto;margin:4px 0;width:100%"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>',
        "\n".join(lines),
    )


def card(facts, *, badges=("Severity",), limit=1500):
    """Names and values, one a line; what has no value is left out."""
    facts = {name: value for name, value in facts.items() if clean(value) != ""}
    style = f"padding:3px 14px 3px 0;border-bottom:1px solid {LINE};text-align:left;vertical-align:top"
    rows = "".join(
        f'<tr style="background-color:transparent"><th style="{style};font-weight:600;white-space:nowrap">{_html(name, 80)}</th>'
        f'<td style="{style};white-space:normal;overflow-wrap:anywhere">{badge(value) if name in badges else _html(value, limit)}</td></tr>'
        for name, value in facts.items()
    )
    show(
        f'<table style="border-collapse:collapse;table-layout:auto;margin:4px 0">{rows}</table>',
        "\n".join(f"{_text(name, 80)}: {_text(value, limit)}" for name, value in facts.items()),
    )


def tree(lines):
    """An indented tree: `lines` are (depth, severity or "", text, remark, strong); what is not strong is background."""
    page, text = [], []
    for depth, marker, words, remark, strong in lines:
        mark = f"{badge(marker)} " if marker in COLOURS else ""
        weight = "font-weight:700" if strong else "font-weight:400"
        more = f' <span style="color:{SOFT}">{_html(remark, 300)}</span>' if remark else ""
        page.append(
            f'<div style="margin:2px 0 2px {min(depth, 12) * 22}px;padding-left:8px;border-left:2px solid {LINE};overflow-wrap:anywhere">'
            f'{mark}<span style="{MONO};{weight}">{_html(words, 300)}</span>{more}</div>'
        )
        shown = f"{'  ' * min(depth, 12)}{f'[{marker}] ' if marker in COLOURS else ''}{_text(words, 160)}"
        text.append(shown + (f"  ({_text(remark, 160)})" if remark else ""))
    show(f'<div style="text-align:left">{"".join(page)}</div>', "\n".join(text))


def figures():
    """Makes matplotlib draw for any background, and take no text for mathematics."""
    import matplotlib

    matplotlib.rcParams.update({
        "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
        "text.color": SOFT, "axes.labelcolor": SOFT, "axes.edgecolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT,
        "grid.color": SOFT, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False,
        "font.size": 9, "figure.dpi": 110, "text.parse_math": False, "text.usetex": False, "axes.titlesize": 10,
    })


def _width(text):
    """About how wide a text of 11 pixels is. No font can be measured here: this is what most of them need."""
    return sum(12 if east_asian_width(c) in "WF" else 8.3 if c.isupper() or c in "mw%@" else 6.1 for c in text)


# How a point is drawn at (0, 0).
MARKS = {
    "dot": '<circle r="2.7" fill="{}"/>',
    "diamond": '<path d="M0-5.5 5.5 0 0 5.5-5.5 0Z" fill="{}" stroke="#d0d0d0" stroke-width="1.2"/>',
    "bar": '<path d="M0-5V5" stroke="{}" stroke-width="1.4"/>',
}
# Seconds between the lines of a time axis: 1 s to 1 min, to 1 h, to 1 d, and days.
STEPS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, *(86400 * days for days in (1, 2, 7, 14, 30, 91, 365)))


def timeline(title, lanes, points, text, *, shaded=None, legend=()):
    """Points on lanes along the time, as a drawing for a page of any width; `text` says what it shows where no picture can be seen.

    `points` are (time, number of the lane, colour, name of a mark), the last ones on top; `legend` has (colour, mark, words), `shaded` is a
    span of time. Times without a zone are UTC; what has no time, or no lane, is left out.
    """
    def seconds(time):
        time = time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time
        return min(max(time.timestamp(), -62e9), 253e9)  # what has a date

    lanes = [clean(lane, 60) for lane in lanes]
    points = [(seconds(time), *rest) for time, *rest in points if time == time and 0 <= rest[0] < len(lanes)]
    shaded = [seconds(end) for end in shaded or () if end == end]
    at = [point[0] for point in points] + shaded
    first, last = (min(at), max(at)) if at else (0, 0)
    room = max((last - first) * 0.02, 1)
    first, last = first - room, last + room
    left = max(40, round(14 + max(map(_width, lanes), default=0)))
    right, top, row = round(max(left + 400, 900, 1.1 * _width(clean(title, 200)))), 28, 18
    bottom = top + row * len(lanes)
    height = bottom + (52 if legend else 34)

    def x(time):
        return round(left + (time - first) / (last - first) * (right - left))

    def label(x, y, words, anchor="middle", size=11):
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(words, 200)}</text>'

    def mark(x, y, colour, mark):
        return f'<g transform="translate({x} {y})">{MARKS[mark].format(escape(colour, 30))}</g>'

    drawn = [label(14, 16, title, "start", 12)]
    if shaded:
        begin, end = x(min(shaded)), x(max(shaded))
        drawn.append(f'<rect x="{begin}" y="{top}" width="{max(end - begin, 2)}" height="{bottom - top}" fill="#8a9097" opacity="0.25"/>')
    step = next((step for step in STEPS if (last - first) / step <= 8), STEPS[-1] * math.ceil((last - first) / STEPS[-1] / 8))
    day = None
    for time in range(math.ceil(first / step) * step, math.floor(last) + 1, step):
        moment = datetime.fromtimestamp(time, timezone.utc)
        words = [] if step >= 86400 else [f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"]
        if moment.date() != day:
            words.append(f"{moment:%Y-%m-%d}")
        day = moment.date()
        drawn.append(f'<path d="M{x(time)} {top}V{bottom + 4}" stroke="{SOFT}" opacity="0.3"/>')
        drawn += [label(x(time), bottom + 16 + 12 * line, word) for line, word in enumerate(words)]
    drawn.append(f'<path d="M{left} {top}V{bottom}H{right}" stroke="{SOFT}" fill="none"/>')
    drawn += [label(left - 8, top + row * lane + 13, name, "end") for lane, name in enumerate(lanes)]
    # What lies in the same place is seen once.
    places = dict.fromkeys((x(time), top + row * lane + 9, colour, kind) for time, lane, colour, kind in points)
    drawn += [mark(*place) for place in places]
    place = left
    for colour, kind, words in legend:
        drawn += [mark(place + 4, height - 9, colour, kind), label(place + 14, height - 5, words, "start")]
        place += round(30 + _width(words))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + 40} {height}" width="{right + 40}" height="{height}" '
        f'font-family="system-ui,sans-serif" fill="{SOFT}">{"".join(drawn)}</svg>'
    )
    # As an image nothing in it can act, wherever the page is shown.
    source = b64encode(svg.encode()).decode()
    show(f'<img alt="{_html(text, 300)}" style="max-width:100%;height:auto" src="data:image/svg+xml;base64,{source}">', _text(text, 300))
