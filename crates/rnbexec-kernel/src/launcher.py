"""Starts a Python kernel as `python -m MODULE` does, for `python launcher.py MODULE`, save for this:

1. An iopub socket that ipykernel binds has no send limit. With the usual limit of 1000 messages, libzmq silently
   drops output, and even the message that says a cell is done, whenever the reader falls behind.

And if the module is ipykernel itself:

2. debugpy is not imported at start (most of the kernel's own start-up time, and nobody attaches a debugger to a batch
   run), and no list of all modules is made for it; code in cells can still import it.
3. A crash (segmentation fault, abort) leaves a traceback on the process's own stderr.
4. Its end is not held up: by child processes that have ended already and were never waited for (stock ipykernel tries to
   kill such zombies for 28 seconds), or by a thread that waits for the iopub thread when that has just been stopped (in
   one of a hundred stock ipykernels: 10 seconds to flush, for ever to send).
5. The source of a cell is made Python of (magics, shell escapes) once and not twice, unless the notebook has added
   transformations of its own.

Should ipykernel not be as it is expected here, the module is run as it is.
"""

import os
import sys


def main():
    module = sys.argv.pop(1)
    # `-m` puts the working directory where Python has now put that of this script.
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:
        sys.path[0] = os.getcwd()

    app = None
    if module in ("ipykernel_launcher", "ipykernel"):
        # As the stock launcher does, so that no module of the notebook's folder takes the place of one of the kernel's;
        # ipykernel itself puts it back for the cells.
        if sys.path and sys.path[0] == os.getcwd():
            del sys.path[0]
        app = ipykernel()
        if app is not None:
            # What notebooks see as sys.argv[0].
            sys.argv[0] = stock_launcher()
            leave_traceback()
            app.launch_new_instance()
    else:
        lift_limit()

    if app is None:
        import runpy

        runpy.run_module(module, run_name="__main__", alter_sys=True)


def stock_launcher():
    import importlib.util

    stock = importlib.util.find_spec("ipykernel_launcher")
    if stock is None or stock.origin is None:
        python = sys.executable
        sys.exit("%s has no ipykernel; install it with: %s -m pip install ipykernel" % (python, python))
    return stock.origin


def ipykernel():
    """Imports ipykernel with all that is said above; None if that cannot be done."""
    stock_launcher()
    app = without_debugger(lift_limit)
    if app is not None:
        pass_over_zombies()
        list_no_modules()
        finish_what_was_scheduled()
        transform_once()
    return app


def lift_limit():
    """Returns ipykernel's application module, patched; None if it cannot be."""
    try:
        import zmq
        from ipykernel import kernelapp

        bind = kernelapp.IPKernelApp._bind_socket
    except Exception:
        return None

    def bind_without_limit(self, socket, port):
        if socket.type in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return bind(self, socket, port)

    kernelapp.IPKernelApp._bind_socket = bind_without_limit
    return kernelapp


def without_debugger(do):
    hide = "debugpy" not in sys.modules
    if hide:
        sys.modules["debugpy"] = None
    try:
        done = do()
        try:
            import ipykernel.debugger  # noqa: F401, so that it has looked for debugpy in vain
        except Exception:
            pass
        return done
    finally:
        if hide:
            sys.modules.pop("debugpy", None)


def list_no_modules():
    try:
        import types

        from ipykernel import debugger, ipkernel

        init = ipkernel.IPythonKernel.__init__
        if debugger._is_debugpy_available or ipkernel.sys is not sys:
            return
    except Exception:
        return

    # The list is of what is not to be debugged. In a forked kernel, to look at every module is to copy the memory it lies in.
    without = types.SimpleNamespace(**{**vars(sys), "modules": {}})

    def init_without(self, **kwargs):
        ipkernel.sys = without
        try:
            init(self, **kwargs)
        finally:
            ipkernel.sys = sys

    ipkernel.IPythonKernel.__init__ = init_without


def leave_traceback():
    try:
        import faulthandler

        if not faulthandler.is_enabled():
            # A duplicate: ipykernel soon redirects descriptor 2 to a thread of its own, which dies with the process.
            faulthandler.enable(os.dup(2), all_threads=False)
    except Exception:
        pass


def pass_over_zombies():
    try:
        from ipykernel.kernelbase import Kernel

        children = Kernel._process_children
    except Exception:
        return

    def is_alive(child):
        try:
            return child.status() != "zombie"
        except Exception:
            return False

    Kernel._process_children = lambda self: [child for child in children(self) if is_alive(child)]


def finish_what_was_scheduled():
    try:
        import time

        import zmq
        from ipykernel.iostream import IOPubThread

        stop = IOPubThread.stop
        IOPubThread._event_pipe, IOPubThread.schedule
    except Exception:
        return

    def finish(self):
        events = getattr(self, "_events", ())
        while events:
            try:
                events.popleft()()
            except Exception:
                pass

    def stop_and_finish(self):
        stop(self)
        # A thread that saw the iopub thread alive scheduled this, and may wait for it to be done.
        finish(self)

    def schedule(self, f):
        if not self.thread.is_alive():
            return f()
        pipe = self._event_pipe
        self._events.append(f)
        while self.thread.is_alive():
            try:
                return pipe.send(b"", zmq.NOBLOCK)
            except zmq.Again:
                # Waiting until there is room, as stock ipykernel does, is for ever if the iopub thread has just been stopped.
                pass
            except zmq.ZMQError:
                break
            time.sleep(0.001)
        finish(self)

    IOPubThread.stop = stop_and_finish
    IOPubThread.schedule = schedule


def transform_once():
    try:
        from IPython.core.inputtransformer2 import TransformerManager
        from ipykernel.zmqshell import ZMQInteractiveShell as Shell

        transform = Shell.transform_cell
        usual = steps(TransformerManager())
    except Exception:
        return
    # ipykernel transforms a cell to see whether it has to be awaited, and IPython the same once more when it runs it.
    kept = [None, None]

    def once(self, raw_cell):
        try:
            known = steps(self.input_transformer_manager) == usual and not self.input_transformers_post
        except Exception:
            known = False
        (raw, cell), kept[:] = kept, (None, None)
        by_kernel = sys._getframe(1).f_code.co_name == "do_execute"
        if by_kernel or not known or raw is not raw_cell:
            cell = transform(self, raw_cell)
        # A single line may be rewritten in ways that are told.
        if by_kernel and known and len(cell.splitlines()) > 1:
            kept[:] = raw_cell, cell
        return cell

    Shell.transform_cell = once


def steps(manager):
    """What is done to a cell; the methods of a manager are taken for those of any other."""
    lists = manager.cleanup_transforms, manager.line_transforms, manager.token_transformers
    return [[getattr(step, "__func__", step) for step in steps] for steps in lists]


if __name__ == "__main__":
    main()
