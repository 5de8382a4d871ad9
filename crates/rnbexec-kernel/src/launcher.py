"""Starts ipykernel as `python -m ipykernel_launcher` does, save for three things:

1. its iopub socket has no send limit: with the usual limit of 1000 messages, libzmq silently drops output, and
   even the message that says a cell is done, whenever the reader falls behind;
2. debugpy is not imported at start (most of the kernel's own start-up time, and nobody attaches a debugger to a batch
   run); code in cells can still import it;
3. a crash (segmentation fault, abort) leaves a traceback on the process's own stderr.

Should ipykernel not be as it is expected here, the stock launcher takes over.
"""

import os
import sys


def main():
    # In place of this script's directory; `-m ipykernel_launcher` removes the working directory just so.
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]

    import importlib.util

    stock = importlib.util.find_spec("ipykernel_launcher")
    if stock is None or stock.origin is None:
        sys.exit(
            "%s has no ipykernel; install it with: %s -m pip install ipykernel" % (sys.executable, sys.executable)
        )

    try:
        app = prepare()
    except Exception:
        app = None
    if app is None:
        import runpy

        runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
        return
    # What notebooks see as sys.argv[0].
    sys.argv[0] = stock.origin
    leave_traceback()
    app.launch_new_instance()


def prepare():
    hide = "debugpy" not in sys.modules
    if hide:
        sys.modules["debugpy"] = None
    try:
        import zmq
        from ipykernel import kernelapp

        try:
            import ipykernel.debugger  # noqa: F401, so that it has looked for debugpy in vain
        except ImportError:
            pass
    finally:
        if hide:
            sys.modules.pop("debugpy", None)

    bind = kernelapp.IPKernelApp._bind_socket

    def bind_without_limit(self, socket, port):
        if socket.type in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return bind(self, socket, port)

    kernelapp.IPKernelApp._bind_socket = bind_without_limit
    return kernelapp


def leave_traceback():
    import faulthandler

    try:
        if not faulthandler.is_enabled():
            # A duplicate: ipykernel soon redirects descriptor 2 to a thread of its own, which dies with the process.
            faulthandler.enable(os.dup(2), all_threads=False)
    except Exception:
        pass


main()
