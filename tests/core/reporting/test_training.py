import pytest

from crystalgnn_core.errors import IntegrityError
from crystalgnn_core.reporting.training import plot_history

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_history_is_drawn_once(model):
    path = plot_history(model, "a_model")
    assert path == model / "history.png"
    assert path.read_bytes().startswith(PNG)
    path.write_bytes(b"kept")
    assert plot_history(model, "a_model").read_bytes() == b"kept"


def test_a_model_without_history_is_an_error_that_names_the_file(model):
    (model / "history.parquet").unlink()
    with pytest.raises(IntegrityError, match=r"history\.parquet"):
        plot_history(model, "a_model")
