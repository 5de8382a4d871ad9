"""Serves S3 (moto) or Google Cloud Storage (gcp-storage-emulator) on a free port of loopback, with one bucket `suite`.

Prints one line of JSON with the URL once it serves, and ends when its standard input does: it cannot outlive a test.
"""

import json
import os
import sys


def s3():
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1",
                          aws_access_key_id="test", aws_secret_access_key="test")
    client.create_bucket(Bucket="suite")
    return url


def gs():
    from gcp_storage_emulator.server import Request, create_server

    # The emulator breaks off on an empty document, which real storage takes.
    data = Request.data.fget
    Request.data = property(lambda request: data(request) or b"")

    server = create_server("127.0.0.1", 0, True, "suite")
    server.start()
    return f"http://127.0.0.1:{server._api._httpd.server_port}"


print(json.dumps({"url": {"s3": s3, "gs": gs}[sys.argv[1]]()}), flush=True)
sys.stdin.read()
# The servers' threads would keep the process alive.
os._exit(0)
