"""A real S3 server on this machine (moto's, in a process of its own), for tests of object storage.

It answers one request at a time, so that a conditional put is one step, as S3 promises.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVE = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
print(server.port, flush=True)
server.serve_forever()
"""
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which ``s3://`` URLs mean a server that lives as long as the block."""
    with open(folder / "s3.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SERVE], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"the S3 server did not start: {(folder / 's3.log').read_text()[-2000:]}")
            yield KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def new_bucket() -> str:
    """URL of a bucket that nobody has used; the environment names the server."""
    import s3fs

    name = f"calib-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True).mkdir(name)
    return f"s3://{name}/study"
