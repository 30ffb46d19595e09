"""The card of a denoiser of records has its data sets, the held-out stations, and its score."""

from geoae.records.card import describe_record_model, describe_record_sources
from tests.conftest import tiny_recipe


def test_sources_are_counted(data):
    """Records, stations and licences of both data sets."""
    found = describe_record_sources(tiny_recipe(), data)
    assert list(found) == ["events", "noise"]
    for facts in found.values():
        assert (facts["records"], facts["stations"], facts["licences"]) == (24, 12, {"made up": 24})
        assert len(facts["metadata_sha256"]) == 64


def test_the_card_has_data_split_and_score(data):
    """The split is described by its hash, and the score has its unit and step."""
    plan = tiny_recipe()
    provenance = {"data": describe_record_sources(plan, data), "validation_si_sdr_improvement_db": 7.25, "step": 8}
    sets, held_out, score = describe_record_model(plan, provenance)
    assert sum(line == "- 24 records: made up" for line in sets) == 2
    assert held_out == ["Stations with crc32(NET.STA) % 4 == 0 were not trained on; scores are theirs."]
    assert score.startswith("Median SI-SDR improvement on 8 validation mixtures at -10 to 15 dB: 7.25 dB (step 8). ")
    assert "`geoae evaluate --model MODELDIR --data DIR --card` puts their tables here" in score
