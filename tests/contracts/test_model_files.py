"""Model folders are data, read strictly: what comes back is what was saved, and any difference is named in one line."""

import hashlib
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from geoae import model as models
from geoae.errors import ModelFileError, OutputError, UnknownNameError, UnreadableFileError
from geoae.files import together
from tests.conftest import tiny_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().save(folder, "# a card\n")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "tiny")


def edit(folder, **changes):
    """Change keys of model.json; `section__key`, and a value of ... removes the key."""
    facts = json.loads((folder / models.CARD).read_text())
    for name, value in changes.items():
        *sections, last = name.split("__")
        place = facts
        for section in sections:
            place = place[section]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    (folder / models.CARD).write_text(json.dumps(facts))


def edit_weights(folder, change):
    """Change the tensors, and the digest with them."""
    tensors = load_file(folder / models.WEIGHTS)
    change(tensors)
    save_file(tensors, folder / models.WEIGHTS)
    edit(folder, weights_sha256=hashlib.sha256((folder / models.WEIGHTS).read_bytes()).hexdigest())


def refused(folder, *said):
    with pytest.raises(ModelFileError) as caught:
        models.load_model(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    for words in said:
        assert words in message


def test_a_model_comes_back_bit_by_bit(folder):
    """Output, digest and contract of the loaded model are those of the saved one."""
    before, after = tiny_model(), models.load_model(folder)
    x = np.random.default_rng(0).normal(size=(4, 3, 512)) * 1e4
    x[1, 2, 100:200] = np.nan
    np.testing.assert_array_equal(after.denoise(x), before.denoise(x))
    assert after.contract == before.contract
    assert after.scaler == before.scaler
    assert after.digest == hashlib.sha256((folder / models.WEIGHTS).read_bytes()).hexdigest()[:12]
    assert (folder / models.README).read_text() == "# a card\n"


def test_saving_again_writes_the_same_bytes(folder, tmp_path):
    """Loading and saving is the identity, and others may read the files."""
    models.load_model(folder).save(tmp_path / "again", "# a card\n")
    for name in (models.WEIGHTS, models.CARD, models.README):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
        assert (folder / name).stat().st_mode & stat.S_IRGRP == (folder / models.README).stat().st_mode & stat.S_IRGRP


def test_a_killed_save_leaves_one_model_or_the_other(folder, monkeypatch):
    """Weights and model.json belong together at every moment; companions of a replaced model go."""
    old = models.load_model(folder)
    new = tiny_model()
    (folder / models.COMPANIONS).touch()
    new.net.decoder.bias.data += 1.0

    def stop(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(together, "sync_to_disk", stop)  # the files are in their places, or not
        patch.setattr(Path, "replace", lambda self, target: stop(self))
        with pytest.raises(KeyboardInterrupt):
            new.save(folder, "# new\n")
    loaded = models.load_model(folder)
    assert loaded.digest == new.digest != old.digest
    assert models.describe_model(folder)["weights_sha256"][:12] == new.digest
    old.save(folder, "# old\n")
    assert models.load_model(folder).digest == old.digest
    assert sorted(path.name for path in folder.iterdir()) == sorted([models.CARD, models.README, models.WEIGHTS])


def test_a_loaded_model_passes_through():
    """`load_model` returns a `Model` as it is."""
    model = tiny_model()
    assert models.load_model(model) is model


def test_a_flipped_byte_is_found(folder):
    """The digest finds a single changed bit in the weights."""
    raw = bytearray((folder / models.WEIGHTS).read_bytes())
    raw[-100] ^= 1
    (folder / models.WEIGHTS).write_bytes(raw)
    refused(folder, "is damaged", "SHA-256", "Copy the model folder again")


def test_tensors_must_be_the_nets_own(folder):
    """The message names missing, unknown and misshapen tensors."""

    def change(tensors):
        tensors["surplus"] = tensors.pop("encoder.bias")
        tensors["norm.bias"] = tensors["norm.bias"][:-1].astype(np.float32)
        tensors["norm.weight"] = tensors["norm.weight"].astype(np.float64)

    edit_weights(folder, change)
    refused(
        folder,
        "missing tensor encoder.bias",
        "unknown tensor surplus",
        "tensor norm.bias is torch.float32 (15,) instead of torch.float32 (16,)",
        "tensor norm.weight is torch.float64",
    )


def test_weights_that_are_no_safetensors_are_refused(folder):
    """Also if the digest is right."""
    (folder / models.WEIGHTS).write_bytes(b"PK not tensors")
    edit(folder, weights_sha256=hashlib.sha256(b"PK not tensors").hexdigest())
    refused(folder, "is no safetensors file")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, "unknown key colour"),
        ({"net": ...}, "missing key net"),
        ({"contract__colour": 1}, "unknown key contract.colour"),
        (
            {"contract__window": ..., "contract__stride": ...},
            "missing key contract.stride; missing key contract.window",
        ),
        ({"contract__window": "big"}, "contract.window is 'big' instead of int"),
        ({"contract__rate_range_hz": 8}, "contract.rate_range_hz is 8 instead of list"),
        ({"scaler__blok": 1}, "unknown key scaler.blok"),
        ({"scaler__block": None}, "scaler.block is None instead of int"),
        ({"config__widht": 1}, "no setting widht"),
        ({"config__width": 0}, "'width'"),
        ({"config__width": 8}, "instead of torch.float32 (8,)"),
        ({"config": 3}, "config is 3 instead of dict"),
        ({"net": "newer-net"}, "There is no net 'newer-net'"),
        ({"weights_sha256": 0}, "weights_sha256 is 0 instead of str"),
        ({"format": models.FORMAT + 1, "colour": 1}, "Install a newer geoae"),
        ({"format": "one"}, "no format number"),
        ({"format": ...}, "no format number"),
    ],
)
def test_what_differs_is_named(folder, change, said):
    """Unknown, missing and mistyped keys of model.json, its contract, scaler and config; a newer format."""
    edit(folder, **change)
    refused(folder, said)


@pytest.mark.parametrize("name", [models.WEIGHTS, models.CARD])
def test_a_missing_file_is_named(folder, name):
    """A folder with one of the two files is an incomplete model."""
    (folder / name).unlink()
    refused(folder, f"{name} is missing")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"", b"[]", b"3"])
def test_a_card_that_is_no_json_object_is_refused(folder, content):
    """Broken JSON, or JSON that is not an object."""
    (folder / models.CARD).write_bytes(content)
    refused(folder, models.CARD)


@pytest.mark.parametrize("name", ["sismic", "no/such/folder", "", "x" * 300])
def test_an_unknown_name_lists_the_shipped_models(name, tmp_path, monkeypatch):
    """The message lists the names."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError) as caught:
        models.find_model(name)
    assert all(shipped in str(caught.value) for shipped in models.list_shipped_models())
    assert "geoae train" in str(caught.value)


def test_a_folder_that_may_not_be_entered_is_named(tmp_path, monkeypatch):
    """The model may be there."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "stat", refuse)
    with pytest.raises(UnreadableFileError, match="may not be entered"):
        models.find_model(tmp_path / "model")


def test_shipped_models_load_and_say_what_they_are():
    """Each is found by its name, builds, and has a rate and a summary."""
    for name in models.list_shipped_models():
        model, facts = models.load_model(name), models.describe_model(name)
        assert model.name == facts["contract"]["name"] == name
        assert model.digest == facts["weights_sha256"][:12]
        assert model.contract.summary
        sizes = zip(np.atleast_1d(model.contract.stride), np.atleast_1d(model.contract.window), strict=True)
        assert all(0 < stride <= window for stride, window in sizes)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    """A file instead of the folder raises OutputError."""
    (tmp_path / "tiny").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        tiny_model().save(tmp_path / "tiny", "")
