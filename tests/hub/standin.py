"""A stand-in for the Hub: the part of its HTTP interface that pushing and pulling use.

Repositories are in memory. A large file is one that ends in `.safetensors`: as on the
Hub it is uploaded on its own before the commit, and `resolve` redirects to it. What a
test wants to go wrong, it sets on the `Hub`.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"
"""Tokens: of who may write to the namespace `me` and read all, and of who may not."""
ROUTES = []


@dataclass(frozen=True)
class Blob:
    content: bytes
    large: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.content).hexdigest()

    @property
    def git(self):
        content = self.content
        if self.large:
            content = f"oid sha256:{self.sha256}\nsize {len(content)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self):
        return self.sha256 if self.large else self.git

    def listed(self, path):
        entry = {"type": "file", "path": path, "size": len(self.content)}
        large = {"oid": self.sha256, "size": entry["size"], "pointerSize": 130}
        return {**entry, "oid": self.git, **({"lfs": large} if self.large else {})}


@dataclass
class Repo:
    private: bool = False
    gated: bool = False
    commits: dict = field(default_factory=dict)  # hash -> {path: Blob}
    branches: dict = field(default_factory=dict)  # name -> hash
    messages: list = field(default_factory=list)

    def commit(self, branch, files, message):
        parent = self.branches.get(branch, "")
        state = [parent, message, *(f"{p} {b.etag}" for p, b in files.items())]
        oid = hashlib.sha1("\n".join(state).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid

    def files(self, revision="main"):
        return self.commits[self.branches.get(revision, revision)]

    def texts(self, revision="main"):
        return {p: b.content for p, b in self.files(revision).items() if not b.large}


@dataclass
class Hub:
    """What is on the Hub, what was asked of it, and what goes wrong."""

    endpoint: str = ""
    repos: dict = field(default_factory=dict)
    uploads: dict = field(default_factory=dict)  # large files by SHA-256
    requests: list = field(default_factory=list)
    damaged: set = field(default_factory=set)  # paths that arrive changed
    refused: dict = field(default_factory=dict)  # a part of a path -> status
    meanwhile: dict = field(default_factory=dict)  # a part of a path -> what is done
    stalled: set = field(default_factory=set)  # paths that arrive by half
    half_sent: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def add(self, repo_id, files=(), *, private=False, gated=False):
        repo = self.repos[repo_id] = Repo(private, gated)
        first = {".gitattributes": b"*.safetensors filter=lfs\n", **dict(files)}
        blobs = {p: Blob(c, p.endswith(".safetensors")) for p, c in first.items()}
        repo.commit("main", blobs, "initial commit")
        return repo

    def edit(self, repo_id, path, change, branch="main"):
        """Change a file as its owner does on the web page; None removes it."""
        repo = self.repos[repo_id]
        files = dict(repo.files(branch))
        old = files.pop(path).content if path in files else b""
        content = change(old)
        if content is not None:
            files[path] = Blob(content, path.endswith(".safetensors"))
        repo.commit(branch, files, f"edit {path}")


@contextmanager
def serving():
    """A Hub that answers until the end of the block."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            _answer(hub, self)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Refusal(Exception):
    def __init__(self, status, code="", message=""):
        self.status, self.code, self.message = status, code, message


@dataclass
class Call:
    """One request, and what its answer is made with."""

    hub: Hub
    handler: BaseHTTPRequestHandler
    body: bytes
    query: dict

    @property
    def token(self):
        return self.handler.headers.get("Authorization", "").removeprefix("Bearer ")

    @property
    def json(self):
        return json.loads(self.body)

    def reply(self, data, status=200, headers=()):
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.handler.send_response(status)
        headers = {"Content-Length": str(len(content)), **dict(headers)}
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        if self.handler.command != "HEAD":
            self.handler.wfile.write(content)

    def reader(self, repo_id):
        """The repository, if the one who asks may read it."""
        repo = self.hub.repos.get(repo_id)
        if repo is None or (repo.private and self.token != WRITER):
            # To somebody unknown, what is missing and what is private look alike.
            raise Refusal(404 if self.token else 401, "RepoNotFound")
        return repo

    def writer(self, repo_id):
        if not self.token:
            raise Refusal(401)
        if self.token != WRITER or not repo_id.startswith("me/"):
            raise Refusal(403, message="You don't have the rights")
        return self.reader(repo_id)


def _answer(hub, handler):
    url = urlsplit(handler.path)
    path = url.path
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    if handler.headers.get("Transfer-Encoding") == "chunked":
        body = _chunks(handler.rfile)
    hub.requests.append((handler.command, path))
    call = Call(hub, handler, body, parse_qs(url.query))
    try:
        for part in [part for part in hub.meanwhile if part in path]:
            hub.meanwhile.pop(part)()
        for part, status in hub.refused.items():
            if part in path:
                raise Refusal(status, message="out of order")
        if call.token not in ("", WRITER, READER):
            message = "Invalid credentials in Authorization header"
            raise Refusal(401, message=message)
        for methods, pattern, action in ROUTES:
            match = pattern.fullmatch(path)
            if match and handler.command in methods:
                words = match.groupdict().items()
                action(call, **{k: v and unquote(v) for k, v in words})
                return
        raise Refusal(404, message=f"the stand-in has no {handler.command} {path}")
    except Refusal as refusal:
        headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
        known = {name: value for name, value in headers.items() if value}
        call.reply({"error": refusal.message}, refusal.status, known)
    except (BrokenPipeError, ConnectionResetError):
        pass  # who asked is gone


def _chunks(stream):
    content = b""
    while size := int(stream.readline(), 16):
        content += stream.read(size)
        stream.readline()
    stream.readline()
    return content


def route(methods, pattern):
    pattern = pattern.replace("REPO", r"(?P<repo_id>[^/]+/[^/]+?)")
    pattern = re.compile(pattern.replace("REV", r"(?P<revision>[^/]+)"))
    return lambda action: ROUTES.append((methods.split(), pattern, action))


def commit_of(repo, revision):
    oid = repo.branches.get(revision, revision)
    if oid not in repo.commits:
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return oid


@route("POST", "/api/repos/create")
def create_repo(call):
    asked = call.json
    repo_id = f"{asked['organization'] or 'me'}/{asked['name']}"
    if not call.token:
        raise Refusal(401)
    if call.token != WRITER or not repo_id.startswith("me/"):
        raise Refusal(403, message="You don't have the rights")
    url = {"url": f"{call.hub.endpoint}/{repo_id}"}
    if repo_id in call.hub.repos:
        call.reply(url, 409)
        return
    private = asked.get("private") or asked.get("visibility") == "private"
    call.hub.add(repo_id, private=bool(private))
    call.reply(url)


@route("POST", "/api/validate-yaml")
def validate_yaml(call):
    import yaml

    _, front, _ = call.json["content"].split("---\n", 2)
    data = yaml.safe_load(front)
    errors = [
        {"message": f'"{key}" must be one of {allowed}'}
        for key, allowed in (("library_name", ["xlmgen"]), ("license", ["mit"]))
        if data.get(key, allowed[0]) not in allowed
    ]
    call.reply({"errors": errors, "warnings": []}, 400 if errors else 200)


@route("GET", "/api/models/REPO(/revision/REV)?")
def model_info(call, repo_id, revision):
    repo = call.reader(repo_id)
    sha = commit_of(repo, revision or "main")
    call.reply({"id": repo_id, "sha": sha, "private": repo.private, "tags": []})


@route("GET", "/api/models/REPO/tree/REV/?")
def tree(call, repo_id, revision):
    repo = call.reader(repo_id)
    files = repo.commits[commit_of(repo, revision)]
    folders = {path.rpartition("/")[0] for path in files} - {""}
    entries = [blob.listed(path) for path, blob in files.items()]
    dirs = [{"type": "directory", "path": path, "oid": "0" * 40} for path in folders]
    call.reply(dirs + entries)


@route("POST", "/api/models/REPO/branch/REV")
def create_branch(call, repo_id, revision):
    repo = call.writer(repo_id)
    if revision in repo.branches:
        raise Refusal(409, message="Reference already exists")
    repo.branches[revision] = repo.branches["main"]
    call.reply({})


@route("POST", "/api/models/REPO/preupload/REV")
def preupload(call, repo_id, revision):
    files = call.writer(repo_id).files(revision)
    call.reply(
        {
            "files": [
                {
                    "path": path,
                    "uploadMode": "lfs" if path.endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": files[path].etag if path in files else None,
                }
                for path in (file["path"] for file in call.json["files"])
            ]
        }
    )


@route("POST", r"/REPO\.git/info/lfs/objects/batch")
def lfs_batch(call, repo_id):
    call.writer(repo_id)
    objects = []
    for asked in call.json["objects"]:
        href = f"{call.hub.endpoint}/storage/{asked['oid']}"
        known = asked["oid"] in call.hub.uploads
        actions = {} if known else {"actions": {"upload": {"href": href}}}
        objects.append({"oid": asked["oid"], "size": asked["size"], **actions})
    call.reply({"transfer": "basic", "objects": objects})


@route("PUT", "/storage/(?P<oid>[0-9a-f]{64})")
def store(call, oid):
    if hashlib.sha256(call.body).hexdigest() != oid:
        raise Refusal(400, message="the content has another hash")
    call.hub.uploads[oid] = call.body
    call.reply({})


@route("POST", "/api/models/REPO/commit/REV")
def commit(call, repo_id, revision):
    repo = call.writer(repo_id)
    lines = [json.loads(line) for line in call.body.splitlines()]
    header = lines.pop(0)["value"]
    head = commit_of(repo, revision)
    if header.get("parentCommit", head) != head:
        raise Refusal(412, message="A commit has happened since")
    files = dict(repo.files(revision))
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
        elif line["key"] == "lfsFile":
            files[value["path"]] = Blob(call.hub.uploads[value["oid"]], True)
        elif line["key"] == "deletedFile":
            del files[value["path"]]
        else:
            raise Refusal(400, message=f"the stand-in has no {line['key']}")
    oid = repo.commit(revision, files, header["summary"])
    url = f"{call.hub.endpoint}/{repo_id}/commit/{oid}"
    call.reply({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


@route("HEAD GET", "/REPO/resolve/REV/(?P<path>.+)")
def resolve(call, repo_id, revision, path):
    repo = call.reader(repo_id)
    if repo.gated and call.token != WRITER:
        raise Refusal(403 if call.token else 401, "GatedRepo")
    oid = commit_of(repo, revision)
    if path not in repo.commits[oid]:
        raise Refusal(404, "EntryNotFound")
    blob = repo.commits[oid][path]
    headers = {"X-Repo-Commit": oid, "ETag": f'"{blob.etag}"'}
    if blob.large:
        # The storage has a host of its own, which a redirect is not followed to.
        storage = call.hub.endpoint.replace("127.0.0.1", "localhost")
        headers["Location"] = f"{storage}/storage/{blob.sha256}?path={path}"
        headers["X-Linked-Etag"] = f'"{blob.sha256}"'
        headers["X-Linked-Size"] = str(len(blob.content))
        call.hub.uploads[blob.sha256] = blob.content
        call.reply(b"", 302, headers)
    else:
        call.reply(_sent(call.hub, path, blob.content), headers=headers)


@route("GET", "/storage/(?P<oid>[0-9a-f]{64})")
def fetch(call, oid):
    (path,) = call.query["path"]
    content = _sent(call.hub, path, call.hub.uploads[oid])
    if path not in call.hub.stalled:
        call.reply(content)
        return
    call.handler.send_response(200)
    call.handler.send_header("Content-Length", str(len(content)))
    call.handler.end_headers()
    call.handler.wfile.write(content[: len(content) // 2])
    call.handler.wfile.flush()
    call.hub.half_sent.set()
    call.hub.released.wait()
    call.handler.close_connection = True


def _sent(hub, path, content):
    """A file's content as it arrives: as it is, or as long but other."""
    return content[:-1] + bytes([content[-1] ^ 1]) if path in hub.damaged else content
