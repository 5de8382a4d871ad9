"""The bare kernel: the least a client can do to run notebooks, as the floor that runners are compared with.

    python bare.py NOTEBOOK [COUNT]

Runs the code cells of the notebook in a fresh kernel, COUNT times one after the other: starts ipykernel as its kernelspec
says, connects over ipc, waits until it answers and its iopub is heard, sends cell after cell and reads every message up
to the cell's reply and idle, asks the kernel to shut down and waits for its end, two seconds at most. It checks no
signature, parses no output, keeps nothing and writes no notebook.

The clock runs from after the imports and the reading of the notebook to the end of the last kernel: the start of this
Python is not in it. Prints one line of JSON: the seconds of each part, and this process's peak memory in KiB.
"""

import hashlib
import hmac
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

import zmq

CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}


class Kernel:
    """A kernel that answers, and whose iopub is heard."""

    def __init__(self, context):
        self.folder = tempfile.mkdtemp(prefix="bare-")
        self.key = secrets.token_hex(32)
        self.session = uuid.uuid4().hex
        stem = os.path.join(self.folder, "k")
        connection = {"transport": "ipc", "ip": stem, "key": self.key, "signature_scheme": "hmac-sha256"}
        connection.update({name + "_port": port for name, port in CHANNELS.items()})
        file = os.path.join(self.folder, "connection.json")
        with open(file, "w") as out:
            json.dump(connection, out)
        # The history argument is what nbclient adds.
        arguments = ["-f", file, "--HistoryManager.hist_file=:memory:"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ipykernel_launcher", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            # As every runner does; the scheduler treats what has a session of its own differently.
            start_new_session=True,
        )
        self.shell = self.connect(context, "shell", zmq.DEALER)
        self.control = self.connect(context, "control", zmq.DEALER)
        self.iopub = self.connect(context, "iopub", zmq.SUB)
        self.poller = zmq.Poller()
        self.poller.register(self.shell, zmq.POLLIN)
        self.poller.register(self.iopub, zmq.POLLIN)
        # ipykernel welcomes a subscription, so that something comes on iopub in any case.
        self.send(self.shell, "kernel_info_request", {})
        waited_for = {self.shell, self.iopub}
        while waited_for:
            for socket, _ in self.poll():
                socket.recv_multipart()
                waited_for.discard(socket)

    def connect(self, context, name, kind):
        socket = context.socket(kind)
        socket.linger = 0
        socket.rcvhwm = 0
        # The kernel binds when it is ready for it; look for that every millisecond.
        socket.reconnect_ivl = 1
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect("ipc://%s-%d" % (os.path.join(self.folder, "k"), CHANNELS[name]))
        return socket

    def poll(self):
        events = self.poller.poll(60_000)
        if not events:
            sys.exit("the kernel says nothing for a minute")
        return events

    def send(self, socket, msg_type, content):
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self.session, "username": "bare", "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        signature = hmac.new(self.key.encode(), b"".join(parts), hashlib.sha256).hexdigest().encode()
        socket.send_multipart([b"<IDS|MSG>", signature, *parts])
        return msg_id

    def execute(self, code):
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        msg_id = self.send(self.shell, "execute_request", content)
        replied = idle = False
        while not (replied and idle):
            for socket, _ in self.poll():
                frames = socket.recv_multipart()
                frames = frames[frames.index(b"<IDS|MSG>"):]
                msg_type = json.loads(frames[2])["msg_type"]
                if msg_type not in ("status", "execute_reply") or json.loads(frames[3]).get("msg_id") != msg_id:
                    continue
                content = json.loads(frames[5])
                if msg_type == "status":
                    idle |= content["execution_state"] == "idle"
                else:
                    replied = True
                    if content["status"] != "ok":
                        sys.exit("a cell failed: %s" % content)

    def shut_down(self):
        self.send(self.control, "shutdown_request", {"restart": False})
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            # One of many stock ipykernels never ends; every runner has to kill those.
            self.process.kill()
            self.process.wait()
        for socket in (self.shell, self.control, self.iopub):
            socket.close()
        shutil.rmtree(self.folder)


def peak_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main():
    notebook, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with open(notebook) as file:
        cells = json.load(file)["cells"]
    cells = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    context = zmq.Context()
    boot = run = shutdown = 0.0
    begun = time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        kernel = Kernel(context)
        ready = time.perf_counter()
        for cell in cells:
            kernel.execute(cell)
        done = time.perf_counter()
        kernel.shut_down()
        boot, run, shutdown = boot + ready - start, run + done - ready, shutdown + time.perf_counter() - done
    total = time.perf_counter() - begun
    seconds = {"boot": boot, "run": run, "shutdown": shutdown, "total": total}
    print(json.dumps({"seconds": seconds, "peak_kib": peak_memory()}))


main()
