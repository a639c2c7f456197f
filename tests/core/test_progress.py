"""Progress: a bar on a terminal, whole lines elsewhere, nothing from short work."""

import io
import re
import sys
import threading

import pytest

from tf_faces.core import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def seconds():
    """A clock that is set by hand."""
    now = [1000.0]

    def start(*arguments, **options):
        bar = progress.bar(*arguments, **options)
        bar._time = lambda: now[0]
        bar.start_t = bar.last_print_t = now[0]
        return bar

    start.pass_by = lambda amount: now.__setitem__(0, now[0] + amount)
    return start


def test_lines_where_no_terminal_is(monkeypatch, seconds):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with seconds(600, "face", "Drawing") as bar:
        for _ in range(100):
            seconds.pass_by(1)
            bar.update(1)
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    # After 30, 60 and 90 seconds, and at the end.
    assert [int(re.search(r"(\d+) of 600 face", line)[1]) for line in lines] == [
        *(30, 60, 90, 100)
    ]
    assert lines[0] == (
        "Drawing: 30 of 600 face (5 %), 1.00face/s, 00:30 gone, 09:30 left"
    )


def test_the_end_is_told_once(monkeypatch, seconds):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with seconds(2, "face") as bar:
        seconds.pass_by(40)
        bar.update(2)
        seconds.pass_by(1)
    assert len(stream.getvalue().splitlines()) == 1


def test_short_work_prints_no_line(monkeypatch, seconds):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with seconds(10, "face") as bar:
        for _ in range(10):
            seconds.pass_by(1)
            bar.update(1)
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    before = threading.active_count()
    with progress.bar(4, "face", "Drawing", done=1) as bar:
        assert threading.active_count() == before  # Processes may be forked.
        bar.update(3)
    assert "\r" in stream.getvalue() and "4/4" in stream.getvalue()
    assert "Drawing" in stream.getvalue()


def test_an_iterable_and_silence(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress.bar(3, "file", iterable=iter("abc"), shown=False)) == [*"abc"]
    assert stream.getvalue() == ""
    assert list(progress.bar(3, "file", iterable=iter("abc"))) == [*"abc"]
    assert "3/3" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_was_done_before_counts(monkeypatch, terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.bar(40, "face", done=30) as bar:
        assert (bar.n, bar.total, bar.initial, bar.unit) == (30, 40, 30, "face")
        assert bar.dynamic_ncols is terminal or bar.dynamic_ncols is None or terminal
        if not terminal:
            assert (bar.mininterval, bar.maxinterval, bar.delay) == (30, 30, 30)
            assert bar.miniters == 1
    with progress.bar(3, "face", "Words", shown=False) as bar:
        assert bar.disable
    assert list(progress.bar(None, "x", iterable=[1, 2])) == [1, 2]


def test_lines_are_flushed_with_their_stream():
    class Stream(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream = Stream()
    lines = progress._Lines(stream)
    lines.write("\r  one   two ")
    lines.write("\r   ")
    lines.flush()
    assert stream.getvalue() == "one two\n" and stream.flushed == 1
