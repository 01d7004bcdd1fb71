import numpy as np
import pytest

from eegfoundation.finetuning import figures
from eegfoundation.montage import positions


def drawn(figure, tmp_path):
    figure.savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 3000
    return figure.axes


def test_curves(tmp_path):
    rows = [
        {"epoch": i, "loss": 1 / i, "eval_loss": abs(i - 3), "eval_balanced_accuracy": i / 9}
        for i in range(1, 6)
    ]
    left, right = drawn(figures.curves(rows), tmp_path)
    assert [len(line.get_xdata()) for line in left.lines] == [5, 5, 2]
    assert left.lines[2].get_xdata()[0] == 3  # the best epoch
    assert right.lines[0].get_ydata()[-1] == pytest.approx(5 / 9)
    drawn(figures.curves([{"epoch": 1, "loss": 0.5}]), tmp_path)  # without validation


def test_confusion_is_by_row(tmp_path):
    y, guess = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    axis, *_ = drawn(figures.confusion(y, guess, ["a", "$b", "never"], "Some"), tmp_path)
    shown = [text.get_text() for text in axis.texts]
    assert shown[:2] == ["33%\n1", "67%\n2"]
    assert shown[4] == "100%\n1"
    assert shown[6:] == ["0%\n0"] * 3


def test_attention_is_a_map_where_there_are_places(tmp_path):
    names = ["F3", "F4", "C3", "C4", "O1", "strange"]
    axes = drawn(figures.attention(np.ones(6) / 6, names, positions(names)), tmp_path)
    assert [text.get_text() for text in axes[0].texts] == names[:5]
    assert len(axes) == 2  # with a colour bar


@pytest.mark.parametrize("names", [["C3", "C4", "Oz"], ["x", "y", "z", "u"], ["Cz"] * 4])
def test_attention_is_bars_where_there_are_few(tmp_path, names):
    (axis,) = drawn(figures.attention(np.ones(len(names)), names, positions(names)), tmp_path)
    assert len(axis.patches) >= 3 or len(set(names)) == 1


def test_no_attention_at_all(tmp_path):
    names = ["F3", "F4", "C3", "C4"]
    drawn(figures.attention(np.zeros(4), names, positions(names)), tmp_path)


def test_components_are_bars_beside_a_few_channels_and_a_number_beside_a_map(tmp_path):
    names = ["F3", "F4", "C3", "C4", "1-4 Hz, component 1"]
    share = np.array([0.2, 0.2, 0.2, 0.1, 0.3])
    axis, _ = drawn(figures.attention(share, names, positions(names[:4])), tmp_path)
    assert axis.get_title() == "Share in the decisions\n(and 30% without a place)"
    few = figures.attention(share[2:], names[2:], positions(names[2:4]), "what is heard")
    (axis,) = drawn(few, tmp_path)
    assert axis.get_title(loc="left") == "Share in what is heard"
    assert [text.get_text() for text in axis.get_yticklabels()] == names[2:]
