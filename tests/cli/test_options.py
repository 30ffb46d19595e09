"""What a shell completes."""

from geoae.cli.options import complete_models, complete_words
from geoae.model import list_shipped_models


def test_words_and_models_are_completed():
    """All that begin as typed; the names are those of the shipped models."""
    assert complete_words("cpu", "cuda", "mps")("c") == ["cpu", "cuda"]
    assert complete_models("") == list_shipped_models()
    assert complete_models("seismic-") == ["seismic-codes", "seismic-long"]
    assert complete_models("nothing") == []
