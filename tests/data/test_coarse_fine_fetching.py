"""Fetching against a server on this machine: whole, interrupted, wrong, too large."""

import hashlib
import http.server
import threading

import pytest

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.coarse_fine import fetching

CONTENT = bytes(range(256)) * 40
HASH = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole, /ranges, /cut (announces more than it sends), /absent."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Range")))
        if self.path == "/absent":
            self.send_error(404)
            return
        begin = 0
        asked = self.headers.get("Range")
        if asked and self.path == "/ranges":
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(CONTENT):
                self.send_error(416)
                return
        content = CONTENT[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(
            content[: len(content) // 2] if "cut" in self.path else content
        )

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.seen = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def entry(server, path, sha256=None):
    url = f"http://127.0.0.1:{server.server_port}/{path}"
    return fetching.Entry(url, f"Someone/{path}.jpg", sha256)


def fetch(server, folder, *entries, **options):
    return fetching.fetch_all(list(entries), folder, **options)


def test_fetched_once(server, tmp_path):
    wanted = [entry(server, "whole", HASH), entry(server, "ranges")]
    outcome = fetch(server, tmp_path, *wanted)
    assert (outcome.fetched, outcome.present, outcome.failed) == (2, 0, {})
    assert (tmp_path / "Someone/whole.jpg").read_bytes() == CONTENT
    outcome = fetch(server, tmp_path, *wanted)
    assert (outcome.fetched, outcome.present) == (0, 2)
    assert len(server.seen) == 2


@pytest.mark.parametrize("path", ["ranges", "whole"])
@pytest.mark.parametrize("begun", [1000, len(CONTENT)])
def test_an_interrupted_file_is_gone_on_with(server, tmp_path, path, begun):
    (tmp_path / "Someone").mkdir()
    part = tmp_path / f"Someone/{path}.jpg.part"
    part.write_bytes(CONTENT[:begun])
    assert fetch(server, tmp_path, entry(server, path, HASH)).fetched == 1
    assert (tmp_path / f"Someone/{path}.jpg").read_bytes() == CONTENT
    assert server.seen == [(f"/{path}", f"bytes={begun}-")]
    assert not part.exists()


def test_what_fails_is_told(server, tmp_path):
    outcome = fetch(
        server,
        tmp_path,
        entry(server, "absent"),
        entry(server, "cut"),
        entry(server, "whole", "0" * 64),
        entry(server, "ranges"),
    )
    assert outcome.fetched == 1 and len(outcome.failed) == 3
    assert "404" in outcome.failed["Someone/absent.jpg"]
    assert "SHA-256" in outcome.failed["Someone/whole.jpg"]
    assert not (tmp_path / "Someone/cut.jpg").exists()
    assert not list(tmp_path.glob("**/whole*"))
    # A file there of another hash is left alone.
    hosts = f"http://{'a' * 70}.invalid/ a", f"http://127.0.0.1:9/ {'b' * 300}"
    for text in hosts:  # No host's name, no file's.
        outcome = fetch(server, tmp_path, *fetching.parse_manifest(text, "m"))
        assert len(outcome.failed) == 1
    other = entry(server, "ranges", "0" * 64)
    outcome = fetch(server, tmp_path, other)
    assert "another SHA-256" in outcome.failed["Someone/ranges.jpg"]


def test_too_large_is_not_taken(server, tmp_path):
    outcome = fetch(server, tmp_path, entry(server, "whole"), maximum_bytes=5000)
    assert "at most 5000" in outcome.failed["Someone/whole.jpg"]
    assert not (tmp_path / "Someone/whole.jpg").exists()


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("", InputError, "names no file"),
        ("file:///etc/passwd a.jpg", FormatError, "http"),
        ("http://h/a ../a.jpg", FormatError, "below the output folder"),
        ("http://h/a /a.jpg", FormatError, "below the output folder"),
        ("http://h/a .", FormatError, "below the output folder"),
        ("http://h/a a.jpg 123", FormatError, "64 hexadecimal"),
        ("http://h/a", FormatError, "1 words"),
        ("http://[::1 a.jpg", FormatError, "the address 'http://"),
        ("http:///a a.jpg", FormatError, "the address 'http:///a'"),
        ("http://h/\xfc a.jpg", FormatError, "ASCII as %XX"),
        ("http://h/a a/", FormatError, "below the output folder"),
        ("http://h:port/a a", FormatError, "the address 'http://h:port/a'"),
        ("http://h/a a/x\nhttp://h/b ./a//x", FormatError, "the path 'a/x' again"),
        ("http://h/a e\u0301\nhttp://h/b \xe9", FormatError, "the path '\xe9' again"),
        ("http://h/a x\nhttp://h/b x/y", FormatError, "has x as a file, and as the"),
        ("http://h/a x\nhttp://h/b x", FormatError, "line 2 has the path 'x' again"),
    ],
)
def test_wrong_manifests(text, error, sentence):
    with pytest.raises(error, match=sentence):
        fetching.parse_manifest(text, "manifest.txt")


def test_manifest():
    text = f"# faces\nhttps://h/a.jpg Someone/1.jpg {HASH.upper()}\n"
    assert fetching.parse_manifest(text, "m") == [
        fetching.Entry("https://h/a.jpg", "Someone/1.jpg", HASH)
    ]
