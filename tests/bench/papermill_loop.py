"""papermill on a backlog, at its best: imported once, one run after the other in one process.

    python papermill_loop.py NOTEBOOK OUTPUT-FOLDER COUNT
"""

import os
import sys

import papermill

notebook, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    papermill.execute_notebook(notebook, os.path.join(folder, "%d.ipynb" % number), progress_bar=False)
