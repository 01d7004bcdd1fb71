"""A hub on this machine, as far as pushing and loading a model needs one."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubStub:
    """Files by repository, filled by commits and served again. A context manager."""

    def __init__(self):
        self.files = {}
        self.requests = []

    def __enter__(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(*hub.post(self.path, body))

            def do_GET(self):
                self._answer(*hub.get(self.path))

            do_HEAD = do_GET

            def _answer(self, status, content, headers=()):
                hub.requests.append((self.command, self.path, status))
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def post(self, path, body):
        path = path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.files.setdefault(name, {})
            return 200, {"url": f"{self.url}/{name}"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        name = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if name is None:
            return 404, {"error": f"no {path} here"}
        if name[2] == "preupload":
            wanted = json.loads(body)["files"]
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in wanted
            ]
            return 200, {"files": modes}
        for line in filter(None, body.splitlines()):
            entry = json.loads(line)
            if entry["key"] == "file":
                content = base64.b64decode(entry["value"]["content"])
                self.files[name[1]][entry["value"]["path"]] = content
        done = {"commitUrl": f"{self.url}/{name[1]}/commit/{COMMIT}", "commitOid": COMMIT}
        return 200, {"success": True, **done}

    def get(self, path):
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path.partition("?")[0])
        content = self.files.get(found[1], {}).get(found[2]) if found else None
        if content is None:
            return 404, {"error": "absent"}, [("X-Error-Code", "EntryNotFound")]
        digest = hashlib.sha256(content).hexdigest()
        return 200, content, [("ETag", f'"{digest}"'), ("X-Repo-Commit", COMMIT)]
