"""A server on 127.0.0.1 that behaves as it is told, for tests of downloads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server answers, and what it was asked.

    Attributes:
        url: Base address.
        answers: Path without query to the function that answers a request.
        asked: Path and headers of each request, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def serve(self, path, content, **settings):
        """Answer with a file, see `file_answer`; return its address."""
        self.answers[path] = file_answer(content, **settings)
        return self.url + path

    def in_turn(self, path, *answers):
        """Answer one request after the other, the last one from then on."""
        left = list(answers)

        def answer(request):
            (left.pop(0) if len(left) > 1 else left[0])(request)

        self.answers[path] = answer
        return self.url + path


def send(request, code, body=b"", *, announced=None, **headers):
    """Send an answer; `announced` bytes are promised, and the connection is closed.

    The header says so: a client that follows a redirection over the same connection would
    meet the closed end, now and then.
    """
    request.send_response(code)
    request.send_header("Connection", "close")
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), str(value))
    if "Content_Length" not in headers and announced != -1:
        request.send_header("Content-Length", str(announced or len(body)))
    request.end_headers()
    request.wfile.write(body)
    request.close_connection = True


def file_answer(
    content, *, stops_at=None, etag='"1"', ranges=True, shift=0, kind="application/zip"
):
    """Return an answer that sends a file, as an honest server does unless told otherwise.

    Args:
        content: The file.
        stops_at: Bytes of the answer after which the connection is closed.
        etag: Entity tag; empty sends none.
        ranges: Whether a range is sent when one is asked for.
        shift: Bytes by which the sent range differs from the wanted one.
        kind: Content type.
    """

    def answer(request):
        tags = {"ETag": etag} if etag else {}
        wanted = request.headers.get("Range")
        if wanted is None or not ranges:
            body = content[:stops_at]
            send(request, 200, body, announced=len(content), Content_Type=kind, **tags)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) + shift
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:][:stops_at]
        rest = len(content) - start
        send(request, 206, body, announced=rest, Content_Range=place, **tags)

    return answer


@contextmanager
def running_site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = self.path.partition("?")[0]
            site.asked.append((self.path, dict(self.headers)))
            site.answers.get(path, lambda request: send(request, 404, b"gone"))(self)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
