"""A kernel whose language is faults: a real process on the Jupyter wire, and a cell's source is its script.

    fake_kernel.py CONNECTION_FILE [FLAGS]

One command a line, run in order between `status: busy` and the closing reply and idle (`die`, `exit` and `sleep` after
`before-busy` run before busy):

    stdout TEXT | stderr TEXT          a stream message; `\\n` in TEXT is a new line
    display MIME TEXT                  display_data
    result TEXT                        execute_result of text/plain
    error NAME VALUE                   an error output, and the reply says error
    error-reply NAME VALUE             the reply says error, without an error output
    iopub TYPE JSON                    any message on iopub, parent this cell
    foreign-parent COMMAND             an output command with the parent of an unknown request
    earlier-parent COMMAND             an output command with the parent of the cell before
    duplicate COMMAND                  an output command whose message is sent twice, same id
    swap COMMAND | COMMAND             two output commands whose messages are made in this order and sent in the other
    bad-signature COMMAND              an output command with a wrong HMAC
    short-frame | junk-frame | not-json   a message cut short, without delimiter, signed but no JSON
    lines N                            N stream messages, each one numbered line
    flood SIZE                         one stream message of SIZE (such as 50MB) characters
    reply | idle                       send the closing reply or idle now, and not again at the end
    foreign-reply | repeat-reply       a reply to an unknown request, or the reply to the cell before once more
    never-reply | never-idle           do not send it at all
    sleep SECONDS                      wait; an interrupt ends it as KeyboardInterrupt
    sleep-until PATH                   the same, until a file is there
    ignore-interrupt                   from here on interrupts do nothing
    input PROMPT                       ask on stdin, print the answer (or that there was none within 2 s)
    stdout-fd TEXT | stderr-fd TEXT    write a line to the process's own stdout or stderr
    die SIGNAL | exit CODE             end at once: by a signal, or with a code and no reply
    stop                               stop the whole process (SIGSTOP): alive and silent
    close-streams                      close the process's own stdin, stdout and stderr
    children COUNT                     start so many processes that sleep for ten minutes
    eat SIZE                           hold on to so much memory (such as 500MB)
    write PATH TEXT                    write a line over a file
    shell COMMAND                      run it with /bin/sh and wait for it
    env NAME | cwd | argv | count      print it

Flags: --die-at-start CODE, --kill-at-start SIGNAL, --kill-when-asked SIGNAL (once its channels are open, at the first
request), --kill-at-shutdown SIGNAL (when it is asked to shut down), --no-kernel-info, --kernel-info-delay SECONDS, --ignore-terminate, --no-shutdown (a
shutdown_request is answered and not followed), --welcome (iopub_welcome on subscription), --child (starts a `sleep 600` beside itself).
"""

import argparse
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import datetime, timezone

import zmq

DELIMITER = b"<IDS|MSG>"


class Interrupted(Exception):
    pass


class Kernel:
    def __init__(self, connection, options):
        self.options = options
        self.key = connection["key"].encode()
        self.session = uuid.uuid4().hex
        self.count = 0
        self.interrupted = False
        self.ignoring = False
        self.before = {}
        self.last_reply = None
        self.held = []
        transport, ip = connection["transport"], connection["ip"]
        separator = "-" if transport == "ipc" else ":"

        def bind(kind, port):
            socket = zmq.Context().socket(kind)
            socket.sndhwm = 0
            socket.rcvhwm = 0
            socket.linger = 2000
            socket.bind(f"{transport}://{ip}{separator}{connection[port]}")
            return socket

        heartbeat = bind(zmq.REP, "hb_port")
        threading.Thread(target=lambda: [heartbeat.send(heartbeat.recv()) for _ in iter(int, 1)], daemon=True).start()
        self.iopub = bind(zmq.XPUB, "iopub_port")
        self.stdin = bind(zmq.ROUTER, "stdin_port")
        self.control = bind(zmq.ROUTER, "control_port")
        self.shell = bind(zmq.ROUTER, "shell_port")
        signal.signal(signal.SIGINT, self.on_interrupt)
        if options.ignore_terminate:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    # -- the wire

    def header(self, msg_type):
        return {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": self.session,
            "username": "fake",
            "date": datetime.now(timezone.utc).isoformat(),
            "version": "5.3",
        }

    def sign(self, parts):
        digest = hmac.new(self.key, digestmod=hashlib.sha256)
        for part in parts:
            digest.update(part)
        return digest.hexdigest().encode()

    def frames(self, msg_type, content, parent, header=None):
        header = header or self.header(msg_type)
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        return [DELIMITER, self.sign(parts), *parts]

    def publish(self, msg_type, content, parent):
        self.iopub.send_multipart([msg_type.encode(), *self.frames(msg_type, content, parent)])

    @staticmethod
    def read(message):
        at = message.index(DELIMITER)
        header, _, _, content = (json.loads(part) for part in message[at + 2 : at + 6])
        return message[:at], header, content

    def leave(self, *sockets, linger=60_000):
        """Returns when everything that was sent has been written: libzmq writes from a thread of its own, here one a socket."""
        for socket in sockets:
            context = socket.context
            socket.close(linger=linger)
            context.term()

    # -- the loop

    def on_interrupt(self, *_):
        self.interrupted = True

    def run(self):
        while True:
            self.serve(True, 0.2)

    def serve(self, with_shell, seconds):
        """Handles what comes within the time: control always, shell where asked."""
        poller = zmq.Poller()
        for socket in [self.control, self.iopub] + ([self.shell] if with_shell else []):
            poller.register(socket, zmq.POLLIN)
        # A negative time means for ever to poll, and a moment that has just passed is negative.
        for socket, _ in poller.poll(max(0, seconds) * 1000):
            message = socket.recv_multipart()
            if socket is self.iopub:
                if self.options.welcome and message[0][:1] == b"\x01":
                    topic = message[0][1:]
                    frames = self.frames("iopub_welcome", {"subscription": topic.decode()}, {})
                    self.iopub.send_multipart([topic, *frames])
            else:
                self.handle(socket, message)

    def handle(self, socket, message):
        idents, header, content = self.read(message)
        kind = header["msg_type"]
        self.parent, self.reply_to = header, (socket, idents)
        if kind == "execute_request":
            self.execute(content)
            return
        if kind == "kernel_info_request" and self.options.kill_when_asked:
            os.kill(os.getpid(), self.options.kill_when_asked)
        if kind == "shutdown_request" and self.options.kill_at_shutdown:
            os.kill(os.getpid(), self.options.kill_at_shutdown)
        if kind == "kernel_info_request" and self.options.no_kernel_info:
            return
        self.publish("status", {"execution_state": "busy"}, header)
        reply = {"status": "ok"}
        if kind == "kernel_info_request":
            time.sleep(self.options.kernel_info_delay)
            reply |= {
                "protocol_version": "5.3",
                "implementation": "fake",
                "implementation_version": "1",
                "language_info": {"name": "faults", "version": "1", "mimetype": "text/plain", "file_extension": ".txt"},
                "banner": "",
                "help_links": [],
            }
        elif kind == "interrupt_request":
            self.interrupted = True
        elif kind == "shutdown_request":
            reply |= {"restart": content.get("restart", False)}
        socket.send_multipart([*idents, *self.frames(kind.replace("request", "reply"), reply, header)])
        self.publish("status", {"execution_state": "idle"}, header)
        if kind == "shutdown_request" and not self.options.no_shutdown:
            self.leave(self.control, self.iopub, linger=500)
            os._exit(0)

    # -- the language

    def execute(self, content):
        self.count += 1
        self.interrupted = False
        self.reply = {"status": "ok", "execution_count": self.count, "payload": [], "user_expressions": {}}
        self.closing = ["reply", "idle"]
        parent = self.parent
        lines = [line.strip() for line in content["code"].splitlines()]
        for line in lines:
            if line.startswith("before-busy "):
                self.command(line.removeprefix("before-busy "))
        lines = [line for line in lines if line and not line.startswith(("#", "before-busy "))]
        self.publish("status", {"execution_state": "busy"}, parent)
        self.publish("execute_input", {"code": content["code"], "execution_count": self.count}, parent)
        reply_to = self.reply_to
        try:
            for line in lines:
                self.parent, self.reply_to = parent, reply_to
                self.command(line)
                if self.reply["status"] == "error":
                    break
        except Interrupted:
            self.parent, self.reply_to = parent, reply_to
            self.fail("KeyboardInterrupt", "", True)
        self.parent, self.reply_to = parent, reply_to
        for step in list(self.closing):
            self.command(step)
        self.before = parent

    def fail(self, name, value, say):
        error = {"ename": name, "evalue": value, "traceback": [f"{name}: {value}"]}
        self.reply = {"status": "error", "execution_count": self.count, **error}
        if say:
            self.publish("error", error, self.parent)

    def wait(self, seconds):
        end = time.monotonic() + seconds
        parent, reply_to = self.parent, self.reply_to
        while time.monotonic() < end:
            self.serve(False, min(0.02, end - time.monotonic()))
            if self.interrupted and not self.ignoring:
                self.parent, self.reply_to = parent, reply_to
                raise Interrupted
        self.parent, self.reply_to = parent, reply_to

    def output(self, line):
        """The message of an output command, as type and content."""
        word, _, rest = line.partition(" ")
        text = rest.replace("\\n", "\n")
        if word in ("stdout", "stderr"):
            return "stream", {"name": word, "text": text}
        if word == "display":
            mime, _, data = text.partition(" ")
            return "display_data", {"data": {mime: data}, "metadata": {}, "transient": {}}
        if word == "result":
            return "execute_result", {"data": {"text/plain": text}, "metadata": {}, "execution_count": self.count}
        if word == "iopub":
            msg_type, _, content = rest.partition(" ")
            return msg_type, json.loads(content)
        return None

    def command(self, line):
        word, _, rest = line.partition(" ")
        socket, idents = self.reply_to
        if (output := self.output(line)) is not None:
            self.publish(*output, self.parent)
        elif word == "error":
            name, _, value = rest.partition(" ")
            self.fail(name, value, True)
        elif word == "error-reply":
            name, _, value = rest.partition(" ")
            self.fail(name, value, False)
        elif word == "foreign-parent":
            self.publish(*self.output(rest), {**self.parent, "msg_id": uuid.uuid4().hex})
        elif word == "earlier-parent":
            self.publish(*self.output(rest), self.before)
        elif word == "swap":
            made = [self.frames(*self.output(part.strip()), self.parent) for part in rest.split("|")]
            for frames in reversed(made):
                self.iopub.send_multipart([b"", *frames])
        elif word == "duplicate":
            msg_type, content = self.output(rest)
            frames = [b"", *self.frames(msg_type, content, self.parent)]
            self.iopub.send_multipart(frames)
            self.iopub.send_multipart(frames)
        elif word == "bad-signature":
            frames = self.frames(*self.output(rest), self.parent)
            frames[1] = b"0" * 64
            self.iopub.send_multipart([b"", *frames])
        elif word == "short-frame":
            self.iopub.send_multipart([b"", DELIMITER, b"0" * 64])
        elif word == "junk-frame":
            self.iopub.send_multipart([b"\xff\x00junk", b"more"])
        elif word == "not-json":
            parts = [json.dumps(self.header("stream")).encode(), json.dumps(self.parent).encode(), b"{}", b"{cut"]
            self.iopub.send_multipart([b"", DELIMITER, self.sign(parts), *parts])
        elif word == "lines":
            for number in range(int(rest)):
                self.publish("stream", {"name": "stdout", "text": f"{number}\n"}, self.parent)
        elif word == "flood":
            self.publish("stream", {"name": "stdout", "text": "x" * (int(rest.removesuffix("MB")) * 1_000_000)}, self.parent)
        elif word == "reply":
            self.closing.remove("reply")
            self.last_reply = [*idents, *self.frames("execute_reply", self.reply, self.parent)]
            socket.send_multipart(self.last_reply)
        elif word == "foreign-reply":
            parent = {**self.parent, "msg_id": uuid.uuid4().hex}
            socket.send_multipart([*idents, *self.frames("execute_reply", {"status": "error"}, parent)])
        elif word == "repeat-reply":
            socket.send_multipart(self.last_reply)
        elif word == "idle":
            self.closing.remove("idle")
            self.publish("status", {"execution_state": "idle"}, self.parent)
        elif word in ("never-reply", "never-idle"):
            self.closing.remove(word.removeprefix("never-"))
        elif word == "sleep":
            self.wait(float(rest))
        elif word == "sleep-until":
            while not os.path.exists(rest):
                self.wait(0.01)
        elif word == "ignore-interrupt":
            self.ignoring = True
        elif word == "input":
            self.stdin.send_multipart(
                [idents[0], *self.frames("input_request", {"prompt": rest, "password": False}, self.parent)]
            )
            if self.stdin.poll(20_000):
                _, _, content = self.read(self.stdin.recv_multipart())
                self.publish("stream", {"name": "stdout", "text": f"got {content.get('value')!r}\n"}, self.parent)
            else:
                self.publish("stream", {"name": "stdout", "text": "got no answer\n"}, self.parent)
        elif word in ("stdout-fd", "stderr-fd"):
            os.write(1 if word == "stdout-fd" else 2, rest.encode() + b"\n")
        elif word == "die":
            self.leave(self.iopub, self.shell)
            os.kill(os.getpid(), int(rest))
        elif word == "exit":
            self.leave(self.iopub, self.shell)
            os._exit(int(rest))
        elif word == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif word == "close-streams":
            for descriptor in range(3):
                os.close(descriptor)
        elif word == "children":
            self.held += [subprocess.Popen(["sleep", "600"]) for _ in range(int(rest))]
        elif word == "eat":
            for _ in range(int(rest.removesuffix("MB"))):
                self.held.append(bytearray(b"x" * 1_000_000))
        elif word == "write":
            path, _, text = rest.partition(" ")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        elif word == "shell":
            subprocess.run(rest, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elif word in ("env", "cwd", "argv", "count"):
            said = {"env": lambda: os.environ.get(rest), "cwd": os.getcwd, "argv": lambda: sys.argv[1:]}
            said = self.count if word == "count" else said[word]()
            self.publish("stream", {"name": "stdout", "text": f"{said}\n"}, self.parent)
        else:
            self.fail("UnknownCommand", line, True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("connection_file")
    parser.add_argument("--die-at-start", type=int)
    parser.add_argument("--kill-at-start", type=int)
    parser.add_argument("--kill-when-asked", type=int)
    parser.add_argument("--kill-at-shutdown", type=int)
    parser.add_argument("--no-kernel-info", action="store_true")
    parser.add_argument("--kernel-info-delay", type=float, default=0)
    parser.add_argument("--ignore-terminate", action="store_true")
    parser.add_argument("--no-shutdown", action="store_true")
    parser.add_argument("--welcome", action="store_true")
    parser.add_argument("--child", action="store_true")
    options, _ = parser.parse_known_args()
    if options.die_at_start is not None:
        print("fake kernel: the reason it did not start", file=sys.stderr, flush=True)
        sys.exit(options.die_at_start)
    if options.kill_at_start:
        os.kill(os.getpid(), options.kill_at_start)
    if options.child:
        subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(options.connection_file, encoding="utf-8") as file:
        connection = json.load(file)
    Kernel(connection, options).run()


if __name__ == "__main__":
    main()
