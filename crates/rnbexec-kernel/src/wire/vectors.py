"""Regenerates vectors.json: messages as jupyter_client itself puts them on the wire.

Run with a Python that has jupyter_client: python vectors.py > vectors.json
"""

import json
import sys
from datetime import datetime, timezone

from jupyter_client.session import Session


def vector(name, key, msg_type, content, parent=None, metadata=None, idents=(), buffers=()):
    session = Session(key=key.encode(), session="5e5510", username="jovyan")
    header = session.msg_header(msg_type)
    header["date"] = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    header["msg_id"] = "m1"
    message = {
        "header": header,
        "parent_header": {"msg_id": parent} if parent else {},
        "metadata": metadata or {},
        "content": content,
    }
    frames = list(idents) + session.serialize(message)[0:] + list(buffers)
    return {
        "name": name,
        "key": key,
        "frames": [frame.hex() for frame in frames],
        "msg_type": msg_type,
        "parent": parent,
        "content": content,
        "buffers": [buffer.hex() for buffer in buffers],
    }


json.dump(
    [
        vector("plain", "secret", "status", {"execution_state": "idle"}, parent="p1"),
        vector("topic", "k" * 100, "stream", {"name": "stdout", "text": "hi\n"}, "p1", idents=[b"kernel.x.stream"]),
        vector("two identities", "0", "execute_reply", {"status": "ok"}, "p2", idents=[b"\x00\x01\xff", b"b"]),
        vector("text of every kind", "schlüssel", "stream", {"name": "stderr", "text": "ä\u2028\x00😀\\\"\r\n"}),
        vector("buffers", "b", "comm_msg", {"data": {}}, buffers=[b"", b"\x00\x01", b"<IDS|MSG>"]),
        vector("metadata", "m", "display_data", {"data": {}}, "p3", metadata={"isolated": True}),
    ],
    sys.stdout,
    indent=1,
)
