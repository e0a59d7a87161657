"""Applications that report the client as their server and framework see it.

uvicorn who:asgi · gunicorn who:flask · gunicorn who:fixed (with ProxyFix for one proxy)
"""

import json

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    host = dict(scope["headers"]).get(b"host", b"").decode()
    body = {"address": scope["client"][0], "protocol": scope["scheme"], "host": host}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def application():
    app = Flask(__name__)

    @app.route("/", defaults={"path": ""})
    @app.route("/<path:path>")
    def who(path):
        return {"address": request.remote_addr, "protocol": request.scheme, "host": request.host + request.root_path.rstrip("/")}

    return app


flask = application()
fixed = application()
fixed.wsgi_app = ProxyFix(fixed.wsgi_app, x_for=1, x_proto=1, x_host=1)
