"""The differential oracle: runs papermill on a case, and compares what rnbexec left with what papermill left.

One process serves many cases, one JSON request a line on stdin and one JSON answer a line on stdout. papermill is imported
once and runs in a fork per case, so that a case costs a kernel and not an import, yet has a process of its own: working
directory, environment, standard streams, exit code. Its answers are kept on disk under a digest of everything that
decides them, so that only a fresh clone computes them all.

A request is {"case": {...}, "actual": snapshot, "cache": folder, "digest": text}; the answer {"differences": [text, ...]}
or {"broken": text} where the oracle itself could not do its part. See `src/differential.rs` for the case and the snapshot.

What is normalised on both sides: times, durations, random ids, memory addresses, process ids in paths, the scratch folder.
What rnbexec does otherwise on purpose is the list DELIBERATE below, one function each; nothing else is forgiven.
"""

import base64
import copy
import difflib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback

import nbformat
import papermill.cli
import papermill.execute  # noqa: F401  (imported here, so that no fork has to)
import ipykernel.kernelspec  # noqa: F401

# --------------------------------------------------------------------------------------------------------------------
# Running papermill


# papermill at times waits for ever for a message that its kernel has sent, most of all around output widgets on a busy
# machine. It is stopped then and asked again.
PATIENCE = 60
ATTEMPTS = 4


def run_papermill(case):
    """Runs papermill's command line in a fork, and gives the snapshot of what it left; none if it hung."""
    root = case["root"]
    cwd = os.path.join(root, "work")
    out_path, err_path = os.path.join(root, "oracle-stdout"), os.path.join(root, "oracle-stderr")
    stdin_bytes = None if case["stdin"] is None else base64.b64decode(case["stdin"])
    stdin_read = os.open(os.devnull, os.O_RDONLY)
    stdin_write = None
    if stdin_bytes is not None:
        stdin_read, stdin_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            os.dup2(stdin_read, 0)
            if stdin_write is not None:
                os.close(stdin_write)
            os.dup2(os.open(out_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            os.dup2(os.open(err_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(case["env"])
            sys.stdin = open(0, encoding="utf-8", closefd=False)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
            sys.argv = ["papermill", *case["args"]]
            # papermill looks at its standard streams when it is imported, which was before they were these.
            papermill.cli.INPUT_PIPED = stat.S_ISFIFO(os.fstat(0).st_mode)
            papermill.cli.OUTPUT_PIPED = not sys.stdout.isatty()
            for parameter in papermill.cli.papermill.params:
                if parameter.name == "notebook_path":
                    parameter.required = not papermill.cli.INPUT_PIPED
            try:
                papermill.cli.papermill()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(stdin_read)
    if stdin_write is not None:

        def feed():
            with open(stdin_write, "wb") as pipe:
                try:
                    pipe.write(stdin_bytes)
                except BrokenPipeError:
                    pass  # papermill did not want it; that is its answer

        threading.Thread(target=feed, daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.01)
    code = os.waitstatus_to_exitcode(status)
    return {
        "code": code if code >= 0 else 128 - code,
        "stdout": b64_file(out_path),
        "stderr": b64_file(err_path),
        "files": folder(cwd),
    }


# papermill chooses free ports and leaves them free until its kernel binds them: now and then another program is faster.
def did_not_start(answer):
    return b"Kernel died before replying to kernel_info" in base64.b64decode(answer["stderr"])


def b64_file(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


def folder(top):
    found = {}
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            found[os.path.relpath(path, top)] = b64_file(path)
    return found


def answer_of_papermill(case, cache, digest):
    """papermill's snapshot, from the cache if it was asked the same before."""
    asked = {name: case[name] for name in ("args", "stdin", "files", "extra_env")}
    with open(__file__, "rb") as me:
        # Only this half of the file decides the answer.
        source = me.read().split(b"# Comparing")[0]
    key = hashlib.sha256(json.dumps([digest, asked], sort_keys=True).encode() + source).hexdigest()[:24]
    path = os.path.join(cache, key + ".json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    for attempts_left in reversed(range(ATTEMPTS)):
        work = os.path.join(case["root"], "work")
        shutil.rmtree(work)
        for name, content in case["files"].items():
            place = os.path.join(work, name)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(base64.b64decode(content))
        os.makedirs(work, exist_ok=True)
        answer = run_papermill(case)
        if answer is not None and not (attempts_left and did_not_start(answer)):
            break
    else:
        raise TimeoutError(f"papermill hung {ATTEMPTS} times on {case['args']}")
    answer["root"] = case["root"]
    os.makedirs(cache, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=cache)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(temporary, path)
    return answer


# --------------------------------------------------------------------------------------------------------------------
# Comparing

ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00$")
KERNEL_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
FRESH_ID = re.compile(r"^[0-9a-f]{8}$")
LONG_ID = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])")
TEXT_RULES = [
    (re.compile(r"0x[0-9a-fA-F]{6,}"), "0xADDRESS"),
    (re.compile(r"ipykernel_\d+"), "ipykernel_PID"),
    (re.compile(r"(ipykernel_PID/)\d+(\.py)"), r"\1N\2"),
    # %%time and friends measure; what they measured is no promise of ours.
    (re.compile(r"(CPU times|Wall time): .*"), r"\1: MEASURED"),
    # Where the oracle's Python lies.
    (re.compile(r"(?:/[^\s'\"/]+)+/rnbexec-tests/oracle-[0-9a-f]+"), "$ORACLE"),
    # Times that code prints.
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d+"), "TIMESTAMP"),
]


def is_notebook(name, data):
    try:
        return isinstance(json.loads(data), dict) and b'"cells"' in data
    except ValueError:
        return False


class Normaliser:
    """Makes one run's notebook comparable. Knows the ids the input had, which must stay."""

    def __init__(self, root, known_ids):
        self.root = root
        self.known_ids = known_ids
        self.long_ids = {}

    def text(self, value):
        value = value.replace(self.root, "$ROOT")
        for pattern, replacement in TEXT_RULES:
            value = pattern.sub(replacement, value)
        return LONG_ID.sub(lambda match: self.long_ids.setdefault(match[0], f"id-{len(self.long_ids)}"), value)

    def tree(self, value):
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.tree(item) for key, item in value.items()}
        return value

    def notebook(self, nb):
        nb = copy.deepcopy(nb)
        metadata = nb.get("metadata", {})
        stamps(metadata.get("papermill"), "papermill of the notebook")
        widgets = metadata.pop("widgets", None)
        for cell in nb.get("cells", []):
            if "id" in cell and cell["id"] not in self.known_ids and FRESH_ID.match(str(cell["id"])):
                cell["id"] = "FRESH"
            stamps(cell.get("metadata", {}).get("papermill"), "papermill of a cell")
            execution = cell.get("metadata", {}).get("execution")
            if isinstance(execution, dict):
                for key, value in execution.items():
                    execution[key] = "TIME" if KERNEL_TIME.match(str(value)) else f"not a time: {value!r}"
            cell["source"] = joined(cell.get("source"))
            for output in cell.get("outputs", []) if isinstance(cell.get("outputs"), list) else []:
                if "text" in output:
                    output["text"] = joined(output["text"])
                if isinstance(output.get("data"), dict):
                    output["data"] = {k: joined(v) if not k.endswith("json") else v for k, v in output["data"].items()}
        nb = self.tree(nb)
        if widgets is not None:
            nb["metadata"]["widgets"] = self.widgets(widgets)
        return nb

    def widgets(self, widgets):
        """The state is a map from random ids, so its order means nothing: models are compared as a sorted list."""
        widgets = copy.deepcopy(widgets)
        for view in widgets.values():
            if isinstance(view, dict) and isinstance(view.get("state"), dict):
                models = [LONG_ID.sub("ID", json.dumps(model, sort_keys=True)) for model in view["state"].values()]
                view["state"] = [json.loads(self.text(model)) for model in sorted(models)]
        return widgets


def stamps(metadata, where):
    if not isinstance(metadata, dict):
        return
    for key in ("start_time", "end_time"):
        if metadata.get(key) is not None:
            metadata[key] = "TIME" if ISO.match(str(metadata[key])) else f"not a time in {where}: {metadata[key]!r}"
    if metadata.get("duration") is not None:
        value = metadata["duration"]
        metadata["duration"] = "DURATION" if isinstance(value, float) and value >= 0 else f"no duration: {value!r}"


def joined(text):
    return "".join(text) if isinstance(text, list) and all(isinstance(part, str) for part in text) else text


# What rnbexec does otherwise on purpose. Each turns papermill's notebook (and exit code) into what rnbexec promises.


def streams_are_joined(nb):
    """Consecutive messages of one stream are one output; papermill keeps one output per message.

    This is about what a kernel says: outputs that a notebook already held stay as they are."""
    for cell in nb.get("cells", []):
        if "status" not in cell.get("metadata", {}).get("papermill", {}):
            continue
        outputs = []
        for output in cell.get("outputs", []):
            last = outputs[-1] if outputs else {}
            same = output.get("output_type") == "stream" == last.get("output_type")
            if same and output.get("name") == last.get("name"):
                last["text"] += output["text"]
            else:
                outputs.append(output)
        if "outputs" in cell:
            cell["outputs"] = outputs


def non_finite_numbers_are_strings(nb):
    """papermill writes NaN and Infinity, which are no JSON; rnbexec writes them as strings."""

    def fix(value):
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        if isinstance(value, list):
            return [fix(item) for item in value]
        if isinstance(value, dict):
            return {key: fix(item) for key, item in value.items()}
        return value

    fixed = fix(dict(nb))
    nb.clear()
    nb.update(fixed)


def version_is_our_own(nb):
    """metadata.papermill.version names the program that ran the notebook."""
    stamped = nb.get("metadata", {}).get("papermill", {})
    if isinstance(stamped.get("version"), str):
        stamped["version"] = "VERSION"


def raises_exception_succeeds(nb):
    """A cell that is tagged to raise and does is a success; papermill adds its error markers and fails."""
    nb["cells"] = [
        cell for cell in nb["cells"] if "papermill-error-cell-tag" not in cell.get("metadata", {}).get("tags", [])
    ]


def report_mode_keeps_metadata(nb):
    """Report mode adds source_hidden to a cell's jupyter metadata; papermill replaces all of it."""
    for cell in nb["cells"]:
        cell["metadata"].pop("jupyter", None)


def stale_parameters_go(nb):
    """metadata.papermill.parameters says what this run was given; papermill leaves those of a run long ago, and adds no
    default_parameters to metadata that some other version began."""
    stamped = nb["metadata"]["papermill"]
    stamped["parameters"] = {}
    stamped.setdefault("default_parameters", {})


def default_parameters_are_always_there(nb):
    """As above, where the run was given parameters."""
    nb["metadata"]["papermill"].setdefault("default_parameters", {})


def exit_with_nothing_succeeds(nb):
    """sys.exit(None) is an exit with 0, as Python has it; papermill knows only '' and '0'."""
    raises_exception_succeeds(nb)


def a_failed_run_says_so(nb):
    """A run that ends with error markers and exit code 1 has `exception: true`, however its error came to be shown."""
    nb["metadata"]["papermill"]["exception"] = True


# Applied to every case.
ALWAYS = [streams_are_joined, non_finite_numbers_are_strings, version_is_our_own]
# Applied where a case names them; with the exit code they promise where it is another.
DELIBERATE = {
    "raises_exception_succeeds": (raises_exception_succeeds, 0),
    "report_mode_keeps_metadata": (report_mode_keeps_metadata, None),
    "stale_parameters_go": (stale_parameters_go, None),
    "default_parameters_are_always_there": (default_parameters_are_always_there, None),
    "exit_with_nothing_succeeds": (exit_with_nothing_succeeds, 0),
    "a_failed_run_says_so": (a_failed_run_says_so, None),
}
# Those whose function must see rnbexec's notebook as well, since they drop what differs.
BOTH_SIDES = {"report_mode_keeps_metadata", "version_is_our_own"}


def compare(case, expected, actual):
    differences = []
    code = expected["code"]
    for name in case["differs"]:
        code = code if DELIBERATE[name][1] is None else DELIBERATE[name][1]
    if actual["code"] != code:
        said = base64.b64decode(actual["stderr"]).decode("utf-8", "replace")
        differences.append(f"exit code {actual['code']}, not {code}; rnbexec said:\n{said[-3000:]}")
    left, right = expected["files"], actual["files"]
    if "stdout" in case["compare"]:
        left, right = {**left, "-": expected["stdout"]}, {**right, "-": actual["stdout"]}
    for name in sorted(set(left) | set(right)):
        if name not in right:
            differences.append(f"{name} was not written")
        elif name not in left:
            differences.append(f"{name} was written, and papermill did not")
        else:
            differences += compare_file(case, name, expected, left[name], actual, right[name])
    return differences


def compare_file(case, name, expected, left, actual, right):
    left, right = base64.b64decode(left), base64.b64decode(right)
    if left == right:
        return []
    if name in case["files"] and right == base64.b64decode(case["files"][name]):
        return [f"{name} was left as it was, and papermill changed it"]
    if not is_notebook(name, left):
        left = Normaliser(expected["root"], set()).text(left.decode("utf-8", "replace"))
        right = Normaliser(actual["root"], set()).text(right.decode("utf-8", "replace"))
        return diff(name, left, right)
    try:
        written = json.loads(right, parse_constant=lambda constant: invalid(constant))
    except ValueError as error:
        return [f"{name} is not valid JSON: {error}; it begins {right[:200]!r}"]
    differences = []
    shape = nbformat.writes(nbformat.from_dict(copy.deepcopy(written)), version=nbformat.NO_CONVERT).encode()
    if shape != right:
        differences += diff(f"{name}: the bytes nbformat would write", shape.decode(), right.decode())
    known = ids_of(case["files"])
    wanted = Normaliser(expected["root"], known).notebook(json.loads(left))
    found = Normaliser(actual["root"], known).notebook(written)
    for rule in [*ALWAYS, *(DELIBERATE[name][0] for name in case["differs"])]:
        rule(wanted)
        if rule.__name__ in BOTH_SIDES:
            rule(found)
    return differences + diff(name, pretty(wanted), pretty(found))


def invalid(constant):
    raise ValueError(f"{constant} is no JSON")


def ids_of(files):
    ids = set()
    for content in files.values():
        try:
            nb = json.loads(base64.b64decode(content))
            ids.update(str(cell["id"]) for cell in nb.get("cells", []) if "id" in cell)
        except (ValueError, AttributeError, TypeError):
            pass  # no notebook, so it has no ids
    return ids


def pretty(value):
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def diff(name, left, right):
    if left == right:
        return []
    lines = difflib.unified_diff(
        left.split("\n"), right.split("\n"), f"papermill: {name}", f"rnbexec: {name}", lineterm="", n=4
    )
    return ["\n".join(line[:400] for line in list(lines)[:120])]


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            case = request["case"]
            expected = answer_of_papermill(case, request["cache"], request["digest"])
            if request["actual"] is None:
                answer = {"differences": [], "code": expected["code"]}
            else:
                answer = {"differences": compare(case, expected, request["actual"]), "code": expected["code"]}
        except Exception:
            answer = {"broken": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
