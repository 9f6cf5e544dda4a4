"""TensorFlow Serving's REST routes over HTTP, for strangers: slow, rude and greedy ones too.

One thread speaks with all clients (Tornado), so that it can always say whether the model is up;
others read the JSON, run the model and write the JSON. Whatever a client can make large is
bounded: how much it sends, how long it takes, and what all of them have here at once.
"""

import asyncio
import concurrent.futures
import contextlib
import resource

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError

from export import rest
from export.runtime import Refused

WORKERS = 2  # so that one reads or writes JSON while the model answers the other
MOST_CLIENTS = 4096  # at once
MOST_HELD = 8 * rest.MOST_BYTES  # of all requests and answers at once
MOST_READ = 2**30  # of a request: what is too large is read without being kept, and then told
HEADER_SECONDS = 10.0  # until a request has begun, and for its header
BODY_SECONDS = 60.0
ANSWER_SECONDS = 60.0  # until the client has taken its answer

ROUTES = (
    "there are GET /v1/models/NAME, GET /v1/models/NAME/metadata and POST /v1/models/NAME:predict, "
    "each also with /versions/1 after the name"
)


async def serve(runtime, name, listener):
    """Answers for ever.

    Args:
        runtime: a `Runtime`.
        name: of the model.
        listener: a `socket.socket` that listens.
    """
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as workers:
        _Server(_Served(runtime, name, workers)).add_socket(listener)
        await asyncio.Event().wait()


class _Served:
    """What all routes know; `held` counts the bytes of the requests and answers of this moment."""

    def __init__(self, runtime, name, workers):
        self.runtime, self.name, self.workers, self.held = runtime, name, workers, 0


class _Server(HTTPServer):
    def initialize(self, served):
        model, given = (
            r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?",
            {"served": served},
        )
        routes = web.Application(
            [
                (model, _Status, given),
                (model + "/metadata", _Metadata, given),
                (model + ":predict", _Predict, given),
            ],
            default_handler_class=_Nothing,
            default_handler_args=given,
            log_function=lambda route: None,
        )
        super().initialize(
            routes,
            idle_connection_timeout=HEADER_SECONDS,
            body_timeout=BODY_SECONDS,
            max_body_size=MOST_READ,
        )
        # A client is a file, of which a process usually has 1,024 until it asks for more.
        files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * MOST_CLIENTS if most == resource.RLIM_INFINITY else min(2 * MOST_CLIENTS, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, wanted), most))
        self.most, self.clients = wanted // 2, 0

    def handle_stream(self, stream, address):
        if self.clients >= self.most:
            stream.close()
        else:
            self.clients += 1
            super().handle_stream(stream, address)

    def on_close(self, server_conn):
        self.clients -= 1
        super().on_close(server_conn)


@web.stream_request_body
class _Route(web.RequestHandler):
    """What all routes share: the limits, and JSON, also for what is refused."""

    def initialize(self, served):
        self.served, self.body, self.held = served, bytearray(), 0
        self.refused, self.gone = None, False

    def set_default_headers(self):
        self.set_header("Content-Type", "application/json")
        self.clear_header("Server")

    def data_received(self, chunk):
        if len(self.body) + len(chunk) >= rest.MOST_BYTES:
            self.refused = Refused(413, rest.TOO_LARGE)
        elif self.served.held + len(chunk) > MOST_HELD:
            self.refused = Refused(503, "too many large requests at once: try again")
        if self.refused:
            self.body.clear()
            self.release()
        else:
            self.body += chunk
            self.hold(len(chunk))

    def hold(self, count):
        self.held += count
        self.served.held += count

    def release(self):
        self.served.held -= self.held
        self.held = 0

    def on_connection_close(self):
        super().on_connection_close()
        self.gone = True
        self.release()

    async def answer(self, *place):
        """Finishes the request at a model's name, version and label with `content()`."""
        try:
            self.check(*place)
            answer = await self.content()
        except Refused as error:
            self.set_status(error.status)
            answer = rest.refusal(str(error))
        self.hold(len(answer))
        try:
            with contextlib.suppress(StreamClosedError):
                await asyncio.wait_for(self.finish(answer), ANSWER_SECONDS)
        except TimeoutError:
            self.request.connection.close()
        finally:
            self.release()

    def check(self, name, version, label):
        known = self.served.name
        if self.refused:
            raise self.refused
        if name != known:
            raise Refused(404, f"no model {name!r}, but {known}")
        if version not in (None, "1"):
            raise Refused(404, f"no version {version} of {known}, but 1")
        if label:
            raise Refused(404, f"no label {label!r} of {known}, but its version 1")

    def write_error(self, status_code, **_):
        told = f": {ROUTES}" if status_code in (404, 405) else ""
        self.finish(rest.refusal(f"{status_code} {self._reason}{told}"))

    def log_exception(self, typ, value, tb):
        if not isinstance(value, web.HTTPError):  # which are told to the client
            super().log_exception(typ, value, tb)


class _Status(_Route):
    get = _Route.answer

    async def content(self):
        return rest.status()


class _Metadata(_Route):
    get = _Route.answer

    async def content(self):
        return rest.metadata(self.served.runtime, self.served.name)


class _Predict(_Route):
    post = _Route.answer

    async def content(self):
        return await asyncio.get_running_loop().run_in_executor(self.served.workers, self.work)

    def work(self):
        if self.gone:  # nobody waits for it any more
            return b""
        encoding = self.request.headers.get("Content-Encoding", "").lower()
        return rest.predict(self.served.runtime, self.body, encoding)


class _Nothing(_Route):
    def get(self):
        raise web.HTTPError(404)

    head = post = put = delete = patch = options = get
