"""The card of a denoiser of fields lists its files, what was held out, and its score."""

import hashlib

from geoae.fields.card import describe_field_model, describe_field_sources
from tests.support.field_training import archive, recipe, write


def test_sources_are_the_training_files_with_digests(tmp_path):
    """Excluded and validation files are not sources; files of noise are."""
    write(tmp_path, [archive()[0]] * 4)
    data = {"files": ["member*.nc"], "exclude": ["member1.nc"], "validation": ["member2.nc"], "noise": ["member3.nc"]}
    found = describe_field_sources(recipe("clean", data=data), tmp_path)
    digests = {n: hashlib.sha256((tmp_path / n).read_bytes()).hexdigest() for n in ("member0.nc", "member3.nc")}
    assert found == {"files": digests}


def test_synthetic_fields_have_no_sources(tmp_path):
    """A recipe without files needs no folder."""
    plan = recipe("clean", data={}, mix={"drawn": 1.0})
    assert describe_field_sources(plan, tmp_path / "nowhere") == {}


def test_the_card_has_files_score_and_held_out_files():
    """The score is in dB, at its step; validation files are named."""
    provenance = {"validation_error_less_db": 4.5, "step": 60, "data": {"files": {"member0.nc": "ab" * 32}}}
    plan = recipe("clean", mix={"drawn": 0.25})
    data, held_out, score = describe_field_model(plan, provenance)
    assert data == ["- member0.nc (SHA-256 abababababab)", "- drawn fields: 25 % of the training windows", ""]
    assert held_out == ["The score is of other draws of the same data."]
    assert "4.5 dB (step 60)" in score
    assert "error less" in score
    named = recipe("clean", data={"files": ["member*.nc"], "validation": ["member1.nc"]})
    assert "member1.nc" in describe_field_model(named, provenance)[1][0]
