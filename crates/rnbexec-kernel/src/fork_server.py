"""Forks ipykernels, so that what they import is imported once.

    python fork_server.py '{"preload": [MODULE, …], "imports": [MODULE, …], "without": [MODULE, …]}'

Standard input is a SOCK_SEQPACKET socket to the runner; a message is a JSON object each. From here:

    {"ready": true, "left_out": {MODULE: WHY}}       kernels can be forked from now on
    {"id": ID, "pid": PID}                           the kernel that was asked for
    {"id": ID, "fits": true}                         a kernel from here would still be as one that is started
    {"id": ID, "refused": WHY} | {"id": ID, "stale": FILE}
    {"pid": PID, "status": STATUS}                   it has ended; it is not reaped before the runner says so

From the runner: {"id": ID, "arguments": […], "cwd": DIR or null, "variables": {…}} with the descriptors of the kernel's stdout and
stderr; {"id": ID, "cwd": DIR or null}, which asks whether such a kernel still fits; and {"reap": PID}. The end of the socket is the end
of this process, and with it of all kernels. The variables are those of this process with other values of the same length.

What must hold before a fork: one thread, no ZeroMQ context, no event loop. What a kernel gets anew: session and process
group, key and connection file, working directory, signals, random state. What it shares with its siblings: the hash seed and
whatever the preloaded modules computed when they were imported.

`preload` is what a kernelspec names; `imports` is what the cells of the notebook import, found without asking anybody. A module is left
out, and imported by the cells as ever, if importing it here would show: it writes something, starts a thread that a fork would
lose, or (an import only) asks for the running shell, which is not there yet.
"""

import json
import os
import sys

# What ipykernel and IPython import when a kernel starts, each release some of it.
STARTING = (
    "bdb", "code", "faulthandler", "pdb", "sqlite3", "tornado.platform.asyncio", "IPython.core.completerlib", "IPython.core.debugger",
    "IPython.core.logger", "IPython.core.oinspect", "IPython.extensions.storemagic",
)  # fmt: skip
# May ask for the shell when imported: they ask again when they are used.
ASK_AGAIN = {"matplotlib.pyplot", "matplotlib_inline.backend_inline"}
PR_SET_PDEATHSIG = 1
# How long a child may take to become a kernel's process, in seconds. One that takes longer hangs, and so would all others.
HATCHING = 5


def main():
    options = json.loads(sys.argv[1])
    launcher = load_launcher()
    # Read when ipykernel is imported: a kernel's parent is this process.
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    app = launcher.ipykernel()
    if app is None:
        sys.exit("this ipykernel is not as it is expected here")
    import_what_starts()
    left_out = preload(options)
    kernel = serve(left_out)
    # From here on this is a kernel, as deep in calls as one that was started by the launcher.
    sys.argv[:] = [launcher.stock_launcher(), *kernel["arguments"]]
    launcher.leave_traceback()
    try:
        app.launch_new_instance()
    except SystemExit as end:
        leave(end.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        leave(1)
    leave(0)


def load_launcher():
    """The module beside this one, which notebooks must not find under its name."""
    here = os.path.dirname(os.path.abspath(__file__))
    if not (sys.path and os.path.abspath(sys.path[0]) == here):
        sys.path.insert(0, here)
    import launcher

    del sys.modules["launcher"]
    del sys.path[0]
    return launcher


# -- before the fork


def import_what_starts():
    for name in STARTING:
        try:
            __import__(name)
        except Exception:
            pass


class Preloaded:
    """What was imported for the notebooks' sake: names of top-level modules, and files with their times."""

    names = frozenset()
    files = ()


def preload(options):
    """Imports what notebooks will; returns what was left out, and why."""
    import gc

    # What is imported stays: looking through it for garbage again and again finds nothing.
    gc.disable()
    # As ipykernel does before the first cell; matplotlib reads it when it is imported.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    before = set(sys.modules)
    without = dict(options.get("without", {}))
    wanted = [(name, True) for name in options["preload"]] + [(name, False) for name in options["imports"]]
    for name, trusted in wanted:
        if name in without or name in sys.modules:
            continue
        problem = import_quietly(name, trusted)
        if problem:
            # It cannot be unimported: begin again without it.
            without[name] = problem
            again = json.dumps(dict(options, without=without))
            os.execv(sys.executable, [*sys.orig_argv[:-1], again])
    # Without other names of this program, such as multiprocessing's `__mp_main__`: its file is gone once it runs.
    new = {name for name in set(sys.modules) - before if sys.modules[name] is not sys.modules["__main__"]}
    files = {getattr(sys.modules[name], "__file__", None) for name in new}
    Preloaded.names = frozenset(name.partition(".")[0] for name in new) - {name.partition(".")[0] for name in before}
    Preloaded.files = tuple((file, modified(file)) for file in files if file)
    return without


def import_quietly(name, trusted):
    """Imports a module; returns what speaks against having it before the fork, if anything does. That it cannot be imported does not:
    the cell that tries will say so."""
    import IPython

    asked = []
    real = IPython.get_ipython

    def get_ipython():
        if not trusted:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller not in ASK_AGAIN:
                asked.append(caller)
        return real()

    places = [sys.modules[place] for place in ("IPython", "IPython.core.getipython", "IPython.core.interactiveshell")]
    places = [place for place in places if getattr(place, "get_ipython", None) is real]
    for place in places:
        place.get_ipython = get_ipython
    try:
        with Silence() as silence:
            try:
                # From here, as from a cell: this is `__main__` too, to which warnings at import time are shown.
                __import__(name)
            except Exception:
                pass
    finally:
        for place in places:
            place.get_ipython = real
        # Whoever holds on to it asks the real one from now on.
        trusted = True
    if silence.broken:
        return "it writes something when it is imported"
    if asked:
        return "%s asks for the running shell when it is imported" % asked[0]
    if not alone():
        return "it starts a thread when it is imported"
    return None


class Silence:
    """Keeps what is written to stdout and stderr, and tells whether anything was."""

    def __enter__(self):
        self.file = os.memfd_create("import") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        sys.stdout.flush()
        sys.stderr.flush()
        self.real = [os.dup(1), os.dup(2)]
        os.dup2(self.file, 1)
        os.dup2(self.file, 2)
        return self

    def __exit__(self, *_):
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, real in zip((1, 2), self.real):
            os.dup2(real, descriptor)
            os.close(real)
        self.broken = os.fstat(self.file).st_size > 0
        os.close(self.file)


def alone():
    """Whether a fork would lose no thread. Libraries that know of forks, such as OpenBLAS, end their threads before one: then a
    fork for nothing shows that they are gone."""
    if threads() == 1:
        return True
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return threads() == 1


def threads():
    return len(os.listdir("/proc/self/task"))


def modified(file):
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return None


# -- the fork


def serve(left_out):
    """Forks kernels until the runner is gone. Returns in each of them, with what it was asked for."""
    import ctypes
    import gc
    import select
    import signal
    import socket
    from collections.abc import Mapping

    runner = socket.socket(fileno=os.dup(0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getenv.restype = ctypes.c_void_p
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(runner, select.POLLIN)
    poll.register(woken, select.POLLIN)
    running, ended = set(), set()
    hangs = None
    # Every record of a log asks this; the answer is kept, and finding it takes a look at hundreds of classes.
    isinstance("", Mapping)
    gc.collect()
    gc.freeze()
    gc.enable()

    def tell(**message):
        runner.send(json.dumps(message).encode())

    tell(ready=True, left_out=left_out)
    while True:
        events = dict(poll.poll())
        try:
            os.read(woken, 4096)
        except BlockingIOError:
            pass
        for pid in sorted(running - ended):
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if end is not None:
                ended.add(pid)
                exited = end.si_code == os.CLD_EXITED
                tell(pid=pid, status=end.si_status << 8 if exited else end.si_status)
        if runner.fileno() not in events:
            continue
        # It would block if there were none, whatever flags it is given: Python drops them.
        message, descriptors, _, _ = socket.recv_fds(runner, 1 << 20, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if "reap" in request:
            pid = request["reap"]
            if pid in running:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                running.discard(pid)
                ended.discard(pid)
            continue
        answer = misfit(request["cwd"])
        if answer is None and "arguments" in request:
            answer = hangs
        if answer is None and "arguments" in request:
            server = os.getpid()
            try:
                pid, said, say = fork_with_pipe()
            except OSError as error:
                pid, answer = None, {"refused": str(error)}
            if pid == 0:
                try:
                    os.setsid()
                    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                    if os.getppid() != server:
                        os._exit(1)
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    become(request, descriptors, libc)
                except BaseException as error:
                    os.write(say, str(error).encode() or b"no reason")
                    os._exit(1)
                for descriptor in (woken, wake, said, say):
                    os.close(descriptor)
                runner.close()
                return request
            if pid:
                os.close(say)
                refused = all_that_is_said(said)
                if refused is None:
                    os.kill(pid, signal.SIGKILL)
                    refused = "what was imported hangs in a fork"
                    hangs = {"refused": refused}
                if refused:
                    os.waitpid(pid, 0)
                    answer = {"refused": refused}
                else:
                    running.add(pid)
                    answer = {"pid": pid}
        for descriptor in descriptors:
            os.close(descriptor)
        tell(id=request["id"], **(answer or {"fits": True}))


def fork_with_pipe():
    """What `os.fork` returns, and the two ends of a pipe from the child to here."""
    said, say = os.pipe()
    try:
        return os.fork(), said, say
    except OSError:
        os.close(said)
        os.close(say)
        raise


def all_that_is_said(said):
    """What comes through a pipe until its end; None if that does not come."""
    import select
    import time

    poll = select.poll()
    poll.register(said, select.POLLIN)
    deadline = time.monotonic() + HATCHING
    words = b""
    try:
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                more = os.read(said, 4096)
                if not more:
                    return words.decode(errors="replace")
                words += more
        return None
    finally:
        os.close(said)


def misfit(folder):
    """What makes a kernel from here another one than a kernel that is started in this folder now, if anything does, as it is answered."""
    for file, time in Preloaded.files:
        if modified(file) != time:
            return {"stale": file}
    try:
        hidden = hidden_by_folder(folder)
    except (OSError, ValueError) as error:
        return {"refused": str(error)}
    return {"refused": "the working directory has a module of its own named %s" % hidden} if hidden else None


def hidden_by_folder(folder):
    """A preloaded module that the cells would have found in the working directory instead."""
    if not Preloaded.names:
        return None
    for entry in os.scandir(folder):
        name, _, rest = entry.name.partition(".")
        if name not in Preloaded.names:
            continue
        if entry.is_dir():
            if any(inner.name.partition(".")[0] == "__init__" for inner in os.scandir(entry.path)):
                return name
        elif rest.endswith(("py", "pyc", "so")):
            return name
    return None


# -- after the fork


def become(request, descriptors, libc):
    """Makes a kernel's process of this one; raises if one that was started would not be the same."""
    if request["cwd"] is not None:
        os.chdir(request["cwd"])
    for name, value in request["variables"].items():
        show(name, value, libc)
    os.environ.update(request["variables"])
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((null, 0), (descriptors[0], 1), (descriptors[1], 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    import random

    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def show(name, value, libc):
    """Has the system show a variable as this process's own, and as that of all it forks.

    What the system shows is the memory that a process began with, here the server's. To set a variable makes a new text elsewhere, which
    is seen only by programs that are executed; so the old text is written over, before anybody sets the variable.
    """
    import ctypes

    name, value = name.encode(), value.encode()
    place = libc.getenv(name)
    if place and len(ctypes.string_at(place)) == len(value):
        ctypes.memmove(place, value, len(value))
    with open("/proc/self/environ", "rb") as shown:
        if name + b"=" + value not in shown.read().split(b"\0"):
            raise RuntimeError("what it forks could not be told from what its siblings do")


def leave(code):
    """Ends as an interpreter does, save that it does not take modules apart one by one, which takes longest where most was imported."""
    import atexit
    import threading

    if code is None:
        status = 0
    elif isinstance(code, int):
        status = code & 0xFF
    else:
        print(code, file=sys.stderr)
        status = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass
    os._exit(status)


if __name__ == "__main__":
    main()
