"""What a notebook found out about one incident, in the form that `rnbexec manager` acts on.

    from rnbexec_verdict import verdict

    verdict("High", confidence=0.9, title="A guessed password let somebody in",
            summary="12 log-ons from 203.0.113.7 failed, then one succeeded.",
            classification="TruePositive", classification_reason="SuspiciousActivity",
            labels=["T1110"], tasks=["Reset the password of `svc-backup`"],
            evidence=[{"kind": "Ip", "entity": "203.0.113.7", "severity": "High", "reason": "12 failed log-ons, then one that did not"}])

Only the severity is required. `Informational` means that nothing was found: the manager then leaves the incident alone. The
verdict is one display with three forms: `application/vnd.rnbexec.verdict+json` for the manager, HTML and plain text for people.
What is not right is refused with a `VerdictError` that names the field, so a notebook fails instead of telling half of it.

The file needs nothing but IPython; copy it beside a notebook that runs elsewhere.
"""

import html
import json
import math
import re
import unicodedata

MIME = "application/vnd.rnbexec.verdict+json"
VERSION = 1
SEVERITIES = ("Informational", "Low", "Medium", "High")
CLASSIFICATIONS = ("TruePositive", "BenignPositive", "FalsePositive", "Undetermined")
REASONS = {
    "SuspiciousActivity": ("TruePositive",),
    "SuspiciousButExpected": ("BenignPositive",),
    "IncorrectAlertLogic": ("FalsePositive",),
    "InaccurateData": ("FalsePositive",),
}
COLOURS = {"High": "#b3261e", "Medium": "#a85b00", "Low": "#5f6b00", "Informational": "#3c6e8f"}


class VerdictError(ValueError):
    """A verdict that the manager could not act on."""


def clean(value, limit=600):
    """Text as one visible line: no control characters, no text-direction tricks, not endless.

    All that comes from an incident may have been chosen by an attacker: file names, command lines, titles.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value)
    if len(text) > limit:
        text = text[:limit] + "…"
    # What has no meaning (`Cn`) is seen as nothing, or is no character at all: drawings that hold such a one are not shown.
    hidden = ("Cc", "Cf", "Cn", "Cs", "Co", "Zl", "Zp")
    return "".join(
        c if unicodedata.category(c) not in hidden else (" " if c in "\r\n\t" else f"\\u{ord(c):04x}") for c in text
    )


def escape(value, limit=600):
    """The same, for HTML."""
    return html.escape(clean(value, limit))


def unlink(value):
    """Text in which no address can be clicked: `hxxps://…`."""
    return re.sub(r"(?i)\bh(?:tt|xx)p(s?)(?=://)", r"hxxp\1", str(value))


def badge(severity):
    """A severity as a coloured word."""
    colour = COLOURS.get(severity, "#6b6f76")
    return f'<span style="background-color:{colour};color:#ffffff;padding:1px 8px;border-radius:3px;white-space:nowrap">{escape(severity)}</span>'


def build(
    severity,
    *,
    confidence=None,
    title=None,
    summary=None,
    classification=None,
    classification_reason=None,
    classification_comment=None,
    labels=(),
    tasks=(),
    evidence=(),
    **more,
):
    """The verdict as the JSON object that is displayed; what is not given is left out. `more` is carried along unread."""
    made = {"version": VERSION, "severity": _one_of("severity", severity, SEVERITIES)}
    if confidence is not None:
        number = isinstance(confidence, (int, float)) and not isinstance(confidence, bool)
        if not number or not 0 <= confidence <= 1:
            raise VerdictError(f"confidence is a number from 0 to 1, not {confidence!r}")
        made["confidence"] = round(float(confidence), 4)
    for name, text in (("title", title), ("summary", summary), ("classification_comment", classification_comment)):
        if text is not None:
            made[name] = _text(name, text)
    if "\n" in made.get("title", ""):
        raise VerdictError("title is one line")
    if classification is not None:
        made["classification"] = _one_of("classification", classification, CLASSIFICATIONS)
    if classification_reason is not None:
        reason = _one_of("classification_reason", classification_reason, tuple(REASONS))
        if made.get("classification") not in REASONS[reason]:
            raise VerdictError(f"classification_reason {reason} goes with {REASONS[reason][0]}, not with {classification!r}")
        made["classification_reason"] = reason
    made["labels"] = list(dict.fromkeys(_text("labels", label) for label in _list("labels", labels)))
    made["tasks"] = [_task(task) for task in _list("tasks", tasks)]
    made["evidence"] = [_evidence(item) for item in _list("evidence", evidence)]
    for name, value in more.items():
        made.setdefault(name, value)
    try:
        # Numbers out of a data frame are numpy's.
        return json.loads(json.dumps(made, allow_nan=False, default=lambda value: value.item()))
    except (AttributeError, TypeError, ValueError) as error:
        raise VerdictError(f"not JSON: {error}") from None


def verdict(severity, **fields):
    """Checks the verdict (see `build`) and displays it. Call it once, at the end, also if nothing was found."""
    from IPython.display import display

    made = build(severity, **fields)
    display({MIME: made, "text/html": as_html(made), "text/plain": as_text(made)}, raw=True)


def as_html(made):
    """The verdict for people, all texts of it escaped."""
    words = [badge(made["severity"])]
    if made.get("classification"):
        words.append(f"<b>{escape(_words(made['classification']))}</b>")
    if "confidence" in made:
        words.append(f"confidence {made['confidence']:.0%}")
    parts = []
    if made.get("title"):
        parts.append(f'<p style="margin:0 0 6px;font-size:1.15em;font-weight:bold;overflow-wrap:anywhere">{escape(unlink(made["title"]), 300)}</p>')
    parts.append(f'<p style="margin:0 0 6px">{" &nbsp; ".join(words)}</p>')
    for paragraph in re.split(r"\n\s*\n", made.get("summary", "")):
        if paragraph.strip():
            parts.append(f'<p style="margin:6px 0;overflow-wrap:anywhere">{_inline(paragraph)}</p>')
    if made["tasks"]:
        items = "".join(
            f"<li>{_inline(task['title'])}{'<br>' + _inline(task['description']) if task.get('description') else ''}</li>"
            for task in made["tasks"]
        )
        parts.append(f'<p style="margin:8px 0 2px"><b>Next</b></p><ul style="margin:0;padding-left:1.4em">{items}</ul>')
    if made["labels"]:
        parts.append(f'<p style="margin:8px 0 0;font-size:0.9em">{escape(", ".join(made["labels"]), 1000)}</p>')
    colour = COLOURS[made["severity"]]
    return f'<div style="border-left:5px solid {colour};padding:6px 14px;text-align:left">{"".join(parts)}</div>'


def as_text(made):
    """The verdict in one line."""
    rest = [_words(made["classification"])] if made.get("classification") else []
    if "confidence" in made:
        rest.append(f"confidence {made['confidence']:.0%}")
    line = made["severity"] + (f" ({', '.join(rest)})" if rest else "")
    return f"{line}: {clean(unlink(made.get('summary') or made.get('title') or 'no summary'), 2000)}"


def _words(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower().capitalize()


def _inline(text):
    """Of Markdown only `code`, which is where texts of the incident belong; all else is shown as it is written."""
    parts = re.split(r"`([^`]+)`", clean(unlink(text), 4000))
    return "".join(
        f'<code style="overflow-wrap:anywhere">{html.escape(part)}</code>' if at % 2 else html.escape(part)
        for at, part in enumerate(parts)
    )


def _one_of(name, value, allowed):
    if value not in allowed:
        raise VerdictError(f"{name} is one of {', '.join(allowed)}, not {clean(value, 80)!r}")
    return value


def _text(name, value):
    if not isinstance(value, str):
        raise VerdictError(f"{name} is text, not {type(value).__name__}")
    # A lone surrogate is no text that UTF-8 could hold.
    return value.encode("utf-8", "replace").decode("utf-8").strip()


def _list(name, value):
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise VerdictError(f"{name} is a list, not {type(value).__name__}")
    return list(value)


def _task(task):
    if isinstance(task, str):
        task = {"title": task}
    if not isinstance(task, dict) or not _text("title of a task", task.get("title")):
        raise VerdictError("tasks are texts, or dicts with a title and perhaps a description")
    made = {**task, "title": _text("title of a task", task["title"])}
    if made.get("description") is not None:
        made["description"] = _text("description of a task", made["description"])
    return made


def _evidence(item):
    if not isinstance(item, dict):
        raise VerdictError(f"evidence is a list of dicts, not of {type(item).__name__}")
    made = dict(item)
    _one_of("severity of evidence", made.get("severity"), SEVERITIES)
    for name in ("kind", "entity", "reason"):
        made[name] = _text(f"{name} of evidence", made.get(name))
    for name in ("source", "technique"):
        if made.get(name) in (None, ""):
            made.pop(name, None)
        else:
            made[name] = _text(f"{name} of evidence", made[name])
    return made
