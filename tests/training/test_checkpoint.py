"""The state of a training comes back exactly, survives half-written files, and is refused in one line when damaged."""

import json

import pytest
import torch
from torch import nn

from geoae.errors import ModelFileError
from geoae.training import checkpoint


def state(seed: int, steps: int = 3) -> tuple[checkpoint.Modules, checkpoint.Optimizers]:
    """A small net and its optimizers, one for its matrices and one for the rest, after a few steps."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3, bias=False))
    rest = [p for p in net.parameters() if p.ndim < 2]
    optimizers = {
        "adamw": torch.optim.AdamW(rest, lr=0.01),
        "muon": torch.optim.Muon([p for p in net.parameters() if p.ndim == 2], lr=0.01),
    }
    go_on({"net": net}, optimizers, steps)
    return {"net": net}, optimizers


def go_on(modules: checkpoint.Modules, optimizers: checkpoint.Optimizers, steps: int) -> None:
    for _ in range(steps):
        modules["net"].zero_grad()
        modules["net"](torch.randn(6, 4)).square().sum().backward()
        for each in optimizers.values():
            each.step()


def facts(step: int) -> dict:
    return {"step": step, "recipe": {"name": "x"}, "best_db": 1.25, "history": [{"loss": 0.1}]}


def test_a_state_comes_back_bit_by_bit(tmp_path):
    """Weights, moments and facts are those that were saved, and further steps give the same weights."""
    modules, optimizers = state(0)
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(7))
    others, fresh = state(1, steps=0)
    found = checkpoint.read_facts(tmp_path)
    assert facts(7).items() <= found.items()
    checkpoint.load_checkpoint(tmp_path, found, others, fresh)
    for those, these in ((modules, optimizers), (others, fresh)):
        torch.manual_seed(5)
        go_on(those, these, 2)
    for a, b in zip(modules["net"].parameters(), others["net"].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_moments_go_to_the_optimizer_of_their_name(tmp_path, name):
    """Each optimizer gets the moments that were saved under its name."""
    modules, optimizers = state(0)
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(7))
    others, fresh = state(1, steps=0)
    checkpoint.load_checkpoint(tmp_path, checkpoint.read_facts(tmp_path), others, {name: fresh[name]})
    saved, found = (o.state_dict()["state"] for o in (optimizers[name], fresh[name]))
    assert saved.keys() == found.keys()
    for index, moments in saved.items():
        assert moments.keys() == found[index].keys()
        assert all(torch.equal(v, found[index][k]) for k, v in moments.items())
    (other,) = fresh.keys() - {name}
    assert not fresh[other].state_dict()["state"]


def test_no_checkpoint_is_none(tmp_path):
    """A folder without a checkpoint, or no folder, gives None."""
    assert checkpoint.read_facts(tmp_path) is None
    assert checkpoint.read_facts(tmp_path / "nowhere") is None


def test_only_the_last_state_is_kept(tmp_path):
    """Old tensors are removed after the new state is valid."""
    modules, optimizers = state(0)
    for step in (1, 2, 3):
        checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3.checkpoint.safetensors", "checkpoint.json"]


def test_half_written_files_are_ignored(tmp_path):
    """A kill while tensors or facts are written, or between the two, leaves the previous state."""
    modules, optimizers = state(0)
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(1))
    (tmp_path / ".2.checkpoint.safetensors.part").write_bytes(b"half")
    (tmp_path / ".checkpoint.json.part").write_text('{"step": 2, "tens')
    (tmp_path / "2.checkpoint.safetensors").write_bytes(b"whole, but its facts never came")
    found = checkpoint.read_facts(tmp_path)
    assert found["step"] == 1
    checkpoint.load_checkpoint(tmp_path, found, *state(1))
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(2))
    assert checkpoint.read_facts(tmp_path)["step"] == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "7.checkpoint.safetensors").unlink(),
        lambda folder: (folder / "7.checkpoint.safetensors").write_bytes(b"\x00" * 64),
        lambda folder: (folder / "7.checkpoint.safetensors").write_bytes(b""),
        lambda folder: (folder / "checkpoint.json").write_text("{"),
        lambda folder: (folder / "checkpoint.json").write_text("[]"),
        lambda folder: (folder / "checkpoint.json").write_text('{"step": 7}'),
        lambda folder: (folder / "checkpoint.json").write_bytes(b"\xff\xfe"),
    ],
)
def test_a_damaged_checkpoint_is_one_line(tmp_path, damage):
    """The message names the folder, and advises to remove it to start anew."""
    modules, optimizers = state(0)
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(7))
    damage(tmp_path)
    with pytest.raises(ModelFileError, match=r"^The checkpoint in [^\n]* cannot be resumed [^\n]*start anew\.$"):
        checkpoint.load_checkpoint(tmp_path, checkpoint.read_facts(tmp_path), modules, optimizers)


def test_the_checkpoint_of_another_net_is_one_line(tmp_path):
    """Tensors that do not fit raise an error of one line."""
    modules, optimizers = state(0)
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(7))
    with pytest.raises(ModelFileError, match=r"^[^\n]*size mismatch[^\n]*$"):
        checkpoint.load_checkpoint(
            tmp_path, checkpoint.read_facts(tmp_path), {"net": nn.Sequential(nn.Linear(4, 6))}, optimizers
        )


def test_there_is_no_pickle(tmp_path):
    """A checkpoint is safetensors and JSON: nothing in it can run code."""
    modules, optimizers = state(0)
    checkpoint.save_checkpoint(tmp_path, modules, optimizers, facts(7))
    json.loads((tmp_path / "checkpoint.json").read_text())
    raw = (tmp_path / "7.checkpoint.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert {"net/0.weight", "adamw/0/exp_avg", "adamw/0/step", "muon/0/momentum_buffer"} <= header.keys()
    assert raw[:2] not in (b"PK", b"\x80\x02")
