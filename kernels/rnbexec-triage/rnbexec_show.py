"""Hostile text on a page: tables, cards and figures for the notebooks that come with rnbexec.

Whatever is shown goes through `clean` (no control or text-direction characters, not endless), `unlink` (no address to click
on) and `escape` (no HTML), and indicators are defanged. Pages need no script and no style sheet, and have no background of their own, so that they look
the same in Jupyter, in a static report, on white and on black.
"""

import re

from rnbexec_verdict import COLOURS, SEVERITIES, badge, clean, escape, unlink

__all__ = ["COLOURS", "SEVERITIES", "badge", "card", "clean", "defang", "escape", "figures", "note", "picture", "show", "table", "tree", "unlink"]

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


def picture(figure, text):
    """Displays a `matplotlib.figure.Figure`; `text` says what it shows where no picture can be seen."""
    from base64 import b64encode
    from io import BytesIO

    from IPython.display import display
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    png = BytesIO()
    # With "tight" everything would be drawn twice, and packing it as tightly as can be takes longer than it saves.
    figure.savefig(png, format="png", bbox_inches=figure.get_tightbbox().padded(0.1), pil_kwargs={"compress_level": 1})
    display({"image/png": b64encode(png.getvalue()).decode(), "text/plain": _text(text, 300)}, raw=True)
