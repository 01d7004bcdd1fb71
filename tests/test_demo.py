import numpy as np
import pandas as pd

from eegfoundation.demo import demo
from eegfoundation.embeddings import Embeddings


def test_demo(tmp_path, capsys, recwarn):
    for name in ("report.html", "embeddings.npz", "predictions.csv"):
        (tmp_path / name).write_text("of an earlier run")
    demo(str(tmp_path))
    said = capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "embeddings.npz",
        "embeddings.preprocessing.json",
        "predictions.csv",
        "predictions.preprocessing.json",
        "report.html",
    ]
    assert "SIMULATED" in said
    last = said.splitlines()[-3:]
    for line, name in zip(last, ("report.html", "embeddings.npz", "predictions.csv"), strict=True):
        assert line.split()[0] == str(tmp_path / name)

    embeddings = Embeddings.load(tmp_path / "embeddings.npz")
    assert embeddings.values.shape == (47, 22, 512)
    assert np.isfinite(embeddings.values).all()
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    probabilities = predictions.filter(like="p_")
    assert probabilities.shape == (24, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "SIMULATED" in text
    for name in probabilities:
        assert name.removeprefix("p_") in text

    # what has only seen simulations is said to, by words and not by a warning in the middle of them
    assert not recwarn.list
    assert embeddings.history["encoder"]["trained"]
    assert "was trained on SIMULATED recordings only" in said
    assert "TRAINED ON SIMULATIONS" in text
