import io
import logging

import numpy as np

from eegfoundation.streaming.session import Row
from eegfoundation.streaming.view import View

LOGGER = logging.getLogger("eegfoundation")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def row(time, values, status="ok"):
    return Row(
        time=time,
        latency=0.031,
        values=values,
        predicted=None if values is None else "left",
        quality=np.array([1.0, 0.0]),
        status=status,
    )


def screen(text):
    """What stands on a terminal after this text: rewinding and clearing carried out."""
    lines = [""]
    for part in text.split("\x1b["):
        head, _, rest = part.partition("J") if part.startswith("J") else ("", "", part)
        if part[:1].isdigit() and "A" in part[:3]:
            up, _, rest = part.partition("A")
            lines = [*lines[: len(lines) - 1 - int(up)], ""]
        assert head == ""
        first, *more = rest.split("\n")
        lines[-1] += first
        lines += more
    return lines[:-1]


def test_a_terminal_shows_one_block_with_messages_above():
    file = Terminal()
    with View("the title", ["left", "right"], ["C3", "C4"], file) as view:
        view.show(row(1.0, np.array([0.75, 0.25])))
        LOGGER.warning("C4: no signal")
        view.show(row(1.1, None, "50% of the window is unusable"))
        shown = screen(file.getvalue())
        assert shown[:2] == ["eegfoundation: C4: no signal", "the title"]
        assert "time 1.1 s" in shown[2]
        assert "not a medical device" in shown[2]
        assert "50% of the window is unusable   without signal: C4" in shown[-1]
        view.show(row(1.2, np.array([0.75, 0.25])))
        left, right, quality = screen(file.getvalue())[3:6]
    assert "latency 31 ms" in screen(file.getvalue())[2]
    assert left.split("]")[0].count("#") == 30
    assert left.endswith("0.75  <")
    assert right.split("]")[0].count("#") == 10
    assert "0.50" in quality
    assert LOGGER.handlers == []


def test_a_pipe_gets_a_line_a_second_and_messages_on_standard_error(capsys):
    with View("the title", ["left", "right"], ["C3", "C4"]) as view:
        for i in range(30):
            view.show(row(i / 10, np.array([0.75, 0.25]) if i else None, "filling"))
        LOGGER.warning("gap: 0.5 s")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "the title"
    assert len(lines) == 4
    assert "no prediction (filling)" in lines[1]
    assert "left 0.75  right 0.25" in lines[2]
    assert "\x1b" not in out
    assert err == "eegfoundation: gap: 0.5 s\n"
