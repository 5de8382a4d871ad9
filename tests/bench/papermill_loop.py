"""papermill on a backlog, at its best: imported once, one run after the other in one process.

    python papermill_loop.py NOTEBOOK OUTPUT-FOLDER ROWS

ROWS has a JSON object of parameters on each line.
"""

import json
import os
import sys

import papermill

notebook, folder, rows = sys.argv[1:]
with open(rows) as file:
    for number, row in enumerate(file):
        output = os.path.join(folder, "%d.ipynb" % number)
        papermill.execute_notebook(notebook, output, parameters=json.loads(row), progress_bar=False)
