"""A stand-in for the Hugging Face Hub on this machine: the calls of create, upload and download."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 39 + "1"


class Hub(ThreadingHTTPServer):
    """Repositories by name: path -> content; large files arrive by their checksum."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.private: dict[str, bool] = {}

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Print nothing."""

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, value, status=200, headers=(), head=False):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not head:
            self.wfile.write(content)

    def do_HEAD(self):
        self.resolve(head=True)

    def do_GET(self):
        self.resolve(head=False)

    def resolve(self, head):
        self.server.requests.append(f"{self.command} {self.path}")
        owner, name, *rest = self.path.strip("/").split("/")
        files = self.server.repositories.get(f"{owner}/{name}", {})
        if self.path.startswith("/api/models/"):
            _, _, owner, name, *_ = self.path.strip("/").split("/")
            files = self.server.repositories.get(f"{owner}/{name}")
            if files is not None:
                siblings = [{"rfilename": path} for path in files]
                self.answer({"id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings})
                return
        path = "/".join(rest[2:])
        if path not in files:
            code = "EntryNotFound" if files else "RepoNotFound"
            self.answer({"error": code}, 404, [("X-Error-Code", code)], head)
            return
        content = files[path]
        tag = hashlib.sha256(content).hexdigest()
        headers = [("ETag", f'"{tag}"'), ("X-Repo-Commit", COMMIT), ("Accept-Ranges", "bytes")]
        self.answer(content, 200, headers, head)

    def do_PUT(self):
        content = self.body()
        self.server.large[self.path.rpartition("/")[2]] = content
        self.answer({})

    def do_POST(self):
        self.server.requests.append(f"POST {self.path}")
        body, path = self.body(), self.path.strip("/")
        if self.headers.get("Authorization") != "Bearer hf_secret":
            self.answer({"error": "no"}, 401)
        elif path == "api/repos/create":
            given = json.loads(body)
            name = "/".join(filter(None, (given.get("organization"), given["name"])))
            self.server.repositories.setdefault(name, {})
            self.server.private[name] = bool(
                given.get("private") or given.get("visibility") == "private"
            )
            self.answer({"url": f"{self.server.address}/{name}", "name": name})
        elif "/preupload/" in path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {
                    **given,
                    "actions": {"upload": {"href": f"{self.server.address}/lfs/{given['oid']}"}},
                }
                for given in json.loads(body)["objects"]
            ]
            kind = [("Content-Type", "application/vnd.git-lfs+json")]
            self.answer({"transfer": "basic", "objects": objects}, headers=kind)
        elif "/commit/" in path:
            self.commit("/".join(path.split("/")[2:4]), body)
        else:
            self.answer({})

    def commit(self, name, body):
        files = self.server.repositories[name]
        for line in filter(None, body.decode().splitlines()):
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        url = f"{self.server.address}/{name}/commit/{COMMIT}"
        self.answer({"success": True, "commitOid": COMMIT, "commitUrl": url})


@contextmanager
def serve():
    """Run a hub in a thread."""
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
