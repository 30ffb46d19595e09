"""The state of a training comes back exactly, survives half-written files, and is refused in one line when damaged."""

import json

import pytest
import torch
from torch import nn

from geoae import checkpoint
from geoae.errors import ModelFileError


def state(seed: int, steps: int = 3):
    """A small net and its optimizer after a few steps."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(6, 4)).square().sum().backward()
        optimizer.step()
    return net, optimizer


def facts(step: int) -> dict:
    return {"step": step, "recipe": {"name": "x"}, "best_db": 1.25, "history": [{"loss": 0.1}]}


def test_a_state_comes_back_bit_by_bit(tmp_path):
    """Weights, moments and facts are those that were saved, and training goes on as if nothing had been."""
    net, optimizer = state(0)
    checkpoint.save(tmp_path, {"net": net}, optimizer, facts(7))
    other, fresh = state(1, steps=0)
    found = checkpoint.read_facts(tmp_path)
    assert facts(7).items() <= found.items()
    checkpoint.load(tmp_path, found, {"net": other}, fresh)
    for model, opt in ((net, optimizer), (other, fresh)):
        torch.manual_seed(5)
        opt.zero_grad()
        model(torch.randn(6, 4)).square().sum().backward()
        opt.step()
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_no_checkpoint_is_none(tmp_path):
    """A folder without one, or no folder, starts anew."""
    assert checkpoint.read_facts(tmp_path) is None
    assert checkpoint.read_facts(tmp_path / "nowhere") is None


def test_only_the_last_state_is_kept(tmp_path):
    """Old tensors go once the new state counts."""
    net, optimizer = state(0)
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, {"net": net}, optimizer, facts(step))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3.checkpoint.safetensors", "checkpoint.json"]


def test_half_written_files_are_ignored(tmp_path):
    """A kill while tensors or facts were written, or between the two, leaves the last whole state."""
    net, optimizer = state(0)
    checkpoint.save(tmp_path, {"net": net}, optimizer, facts(1))
    (tmp_path / ".2.checkpoint.safetensors.part").write_bytes(b"half")
    (tmp_path / ".checkpoint.json.part").write_text('{"step": 2, "tens')
    (tmp_path / "2.checkpoint.safetensors").write_bytes(b"whole, but its facts never came")
    found = checkpoint.read_facts(tmp_path)
    assert found["step"] == 1
    checkpoint.load(tmp_path, found, {"net": state(1)[0]}, state(1)[1])
    checkpoint.save(tmp_path, {"net": net}, optimizer, facts(2))
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
    """Missing or broken tensors and facts say where, and that removing them starts anew."""
    net, optimizer = state(0)
    checkpoint.save(tmp_path, {"net": net}, optimizer, facts(7))
    damage(tmp_path)
    with pytest.raises(ModelFileError, match=r"^The checkpoint in [^\n]* cannot be resumed [^\n]*start anew\.$"):
        checkpoint.load(tmp_path, checkpoint.read_facts(tmp_path), {"net": net}, optimizer)


def test_the_checkpoint_of_another_net_is_one_line(tmp_path):
    """Tensors that do not fit are refused, whatever torch has to say in many lines."""
    net, optimizer = state(0)
    checkpoint.save(tmp_path, {"net": net}, optimizer, facts(7))
    with pytest.raises(ModelFileError, match=r"^[^\n]*size mismatch[^\n]*$"):
        checkpoint.load(tmp_path, checkpoint.read_facts(tmp_path), {"net": nn.Sequential(nn.Linear(4, 6))}, optimizer)


def test_there_is_no_pickle(tmp_path):
    """A checkpoint is safetensors and JSON: nothing in it can run code."""
    net, optimizer = state(0)
    checkpoint.save(tmp_path, {"net": net}, optimizer, facts(7))
    json.loads((tmp_path / "checkpoint.json").read_text())
    raw = (tmp_path / "7.checkpoint.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert {"net/0.weight", "optimizer/0/exp_avg", "optimizer/0/step"} <= header.keys()
    assert raw[:2] not in (b"PK", b"\x80\x02")
