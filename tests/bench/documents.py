"""Times Python's json and nbformat on notebooks: reading a text, and writing it again as notebooks are written.

    python documents.py ROUNDS NOTEBOOK...

Prints one line of JSON for each notebook: for each work the seconds of every round.
"""

import json
import sys
import time

import nbformat


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


for path in sys.argv[2:]:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    plain = json.loads(text)
    notebook = nbformat.reads(text, as_version=4)
    works = {
        "json.loads": lambda: json.loads(text),
        "json.dumps": lambda: json.dumps(plain, ensure_ascii=False, indent=1, sort_keys=True),
        "nbformat.reads": lambda: nbformat.reads(text, as_version=4),
        "nbformat.writes": lambda: nbformat.writes(notebook),
    }
    rounds = range(int(sys.argv[1]))
    print(json.dumps({name: [seconds(work) for _ in rounds] for name, work in works.items()}))
