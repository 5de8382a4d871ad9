"""The Azure that the stand-ins beside this file show: the incidents of a folder of bundles, and a folder that keeps what is done.

`BLOG_BUNDLES` names the first (default: `../bundles`), `BLOG_EFFECTS` the second (default: `effects` in the working folder).
Nothing here reaches a network.
"""

import html
import json
import os
from pathlib import Path

HERE = Path(__file__).parent
BUNDLES = Path(os.environ.get("BLOG_BUNDLES") or HERE.parent / "bundles")
EFFECTS = Path(os.environ.get("BLOG_EFFECTS") or "effects")
# What the threat intelligence of this world knows.
KNOWN = {"203.0.113.66": "high", "198.51.100.23": "warning", "http://malware.example/stage2.ps1": "high"}


class Column(list):
    """A column of a `Frame`."""

    def tolist(self):
        return list(self)


class Frame:
    """The little of a pandas DataFrame that the notebooks use."""

    def __init__(self, rows):
        self.rows = [dict(row) for row in rows]

    @property
    def empty(self):
        return not self.rows

    @property
    def iloc(self):
        return self.rows

    @property
    def columns(self):
        return list(self.rows[0]) if self.rows else []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, name):
        return Column(row[name] for row in self.rows)

    def iterrows(self):
        return enumerate(self.rows)

    def _repr_html_(self):
        def cells(tag, values):
            return "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)

        body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in self.rows)
        return f"<table><tr>{cells('th', self.columns)}</tr>{body}</table>"


def bundles():
    """Every bundle, by file name."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(BUNDLES.glob("*.json"))]


def kept(name, effect):
    """Appends what was done to `<name>.jsonl` of the effects."""
    EFFECTS.mkdir(parents=True, exist_ok=True)
    with (EFFECTS / f"{name}.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(effect) + "\n")


def incident_table():
    """The rows of SecurityIncident. An incident without alerts is not in it yet, as when Log Analytics lags behind."""
    return [
        {
            "IncidentName": bundle["incident"]["name"],
            "Title": bundle["incident"]["properties"]["title"],
            "Severity": bundle["incident"]["properties"]["severity"],
            "AlertIds": [alert["properties"]["systemAlertId"] for alert in bundle["alerts"]["value"]],
        }
        for bundle in bundles()
        if bundle["alerts"]["value"]
    ]


def alert_table():
    """The rows of SecurityAlert; their entities in that table's own spelling."""
    rows = []
    for bundle in bundles():
        entities = []
        for number, entity in enumerate(bundle["entities"]["entities"], 1):
            properties = {name[:1].upper() + name[1:]: value for name, value in entity["properties"].items()}
            entities.append({"$id": str(number), "Type": entity["kind"].lower(), **properties})
        for alert in bundle["alerts"]["value"]:
            properties = alert["properties"]
            rows.append(
                {
                    "SystemAlertId": properties["systemAlertId"],
                    "AlertName": properties["alertDisplayName"],
                    "AlertSeverity": properties["severity"],
                    "Entities": json.dumps(entities),
                }
            )
    return rows
