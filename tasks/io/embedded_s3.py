"""An S3 server inside this process, for the demo, the line program and the tests.

It speaks the real protocol over HTTP and honours conditional writes, but it is in memory
and accepts any credentials: it is no place for anybody's data.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.core.errors import Refused
from tasks.core.settings import Settings


@contextmanager
def embedded_s3() -> Iterator[str]:
    """Serve S3 on a free port of this machine and point this process's S3 clients at it.

    Yields the endpoint's URL; the bucket of the settings is there. The environment is as before
    afterwards.

    Raises:
        Refused: it is not installed, as in a production.
    """
    try:
        from moto.server import ThreadedMotoServer
    except ImportError:
        raise Refused(
            "No S3 is configured, and the embedded one is not installed: set AWS_ENDPOINT_URL_S3 "
            "or AWS_PROFILE, or install the extra `embedded`"
        ) from None

    from tasks.io.object_store import ObjectStore

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        settings = Settings()
        ObjectStore(settings).client.create_bucket(Bucket=settings.bucket)
        yield environment["AWS_ENDPOINT_URL_S3"]
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.stop()
