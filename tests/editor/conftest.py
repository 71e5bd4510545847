"""A client of the YAML language server that editors use."""

import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SERVER = ROOT / ".node/node_modules/yaml-language-server/bin/yaml-language-server"
PATIENCE = 60  # seconds; an answer takes milliseconds
SKELETON = 7  # the kind of a completion that writes all required keys at once

# What would download lists of schemas is off; all else is as an editor has it.
SETTINGS = {
    "yaml": {
        "validate": True,
        "hover": True,
        "completion": True,
        "schemaStore": {"enable": False},
        "kubernetesCRDStore": {"enable": False},
    }
}
CAPABILITIES = {
    "workspace": {"configuration": True},
    "textDocument": {
        "hover": {"contentFormat": ["markdown"]},
        "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
    },
}


class Editor:
    """A client of the language server that opens texts and requests information.

    Messages are JSON-RPC: a header with the length, an empty line, and JSON. One thread
    reads them, answers what the server asks, and keeps the diagnostics.
    """

    def __init__(self, node, folder):
        guard = HERE / "no_network.cjs"
        self.process = subprocess.Popen(
            [node, "--require", str(guard), str(SERVER), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        self.writing = threading.Lock()
        self.answers = queue.Queue()
        self.published = {}
        self.ended = False
        self.news = threading.Condition()
        self.calls = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.request(
            "initialize",
            processId=os.getpid(),
            rootUri=folder.as_uri(),
            capabilities=CAPABILITIES,
        )
        self.notify("initialized")

    def close(self):
        if not self.ended:
            self.request("shutdown")
            self.notify("exit")
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()

    def open(self, path, text=None):
        """Open a file, or a text in place of that file, and return its URI."""
        text = path.read_text("utf-8") if text is None else text
        item = {"languageId": "yaml", "version": 1, "text": text}
        self.notify("textDocument/didOpen", textDocument={"uri": path.as_uri(), **item})
        return path.as_uri()

    def diagnostics(self, uri):
        """Return the problems of an open text: pairs of line, from 1, and message."""
        with self.news:
            there = self.news.wait_for(
                lambda: uri in self.published or self.ended, PATIENCE
            )
            assert there, f"no diagnostics of {uri}"
            assert not self.ended, "the server ended"
            found = self.published[uri]
        return sorted((d["range"]["start"]["line"] + 1, d["message"]) for d in found)

    def completions(self, uri, line, character):
        """Return completions at a position, from 0, with their texts."""
        answer = self.request("textDocument/completion", **place(uri, line, character))
        items = answer["items"] if answer else []
        items = [item for item in items if item["kind"] != SKELETON]
        found = {item["label"]: item["insertText"] for item in items}
        assert len(found) == len(items), "something is offered twice"
        return found

    def hover(self, uri, line, character):
        """Return the hover text at a position, from 0; may be empty."""
        answer = self.request("textDocument/hover", **place(uri, line, character))
        return answer["contents"]["value"] if answer else ""

    def request(self, method, **params):
        """Send a request and return its result; one at a time."""
        self.calls += 1
        self._send({"id": self.calls, "method": method, "params": params})
        answer = self.answers.get(timeout=PATIENCE)
        assert answer is not None, "the server ended"
        assert answer["id"] == self.calls
        assert "error" not in answer, answer
        return answer["result"]

    def notify(self, method, **params):
        self._send({"method": method, "params": params})

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with self.writing:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.process.stdin.flush()

    def _read(self):
        while header := self.process.stdout.readline():
            length = int(header.split(b":")[1])
            while self.process.stdout.readline().strip():
                pass  # a header that says nothing of use
            self._receive(json.loads(self.process.stdout.read(length)))
        with self.news:
            self.ended = True
            self.news.notify_all()
        self.answers.put(None)

    def _receive(self, message):
        method, params = message.get("method"), message.get("params")
        if method is None:
            self.answers.put(message)
        elif "id" in message:
            result = None
            if method == "workspace/configuration":
                result = [SETTINGS.get(item["section"]) for item in params["items"]]
            self._send({"id": message["id"], "result": result})
        elif method == "textDocument/publishDiagnostics":
            with self.news:
                self.published[params["uri"]] = params["diagnostics"]
                self.news.notify_all()


def place(uri, line, character):
    position = {"line": line, "character": character}
    return {"textDocument": {"uri": uri}, "position": position}


@pytest.fixture(scope="session")
def start_editor():
    """Return a function that starts an editor, or skip without a server."""
    node = shutil.which("node")
    if node is None or not SERVER.is_file():
        pytest.skip("the YAML language server is not here; `make editors` installs it")
    return lambda: Editor(node, ROOT)


@pytest.fixture(scope="session")
def editor(start_editor):
    """Start an editor that has opened this repository."""
    client = start_editor()
    yield client
    client.close()
