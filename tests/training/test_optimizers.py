"""Each weight has one optimizer, and the learning rate follows its schedule."""

import math

import pytest

from geoae import nets
from geoae.training.optimizers import compute_learning_rate, make_optimizers
from tests.conftest import tiny_recipe


@pytest.mark.parametrize("name", sorted(set(nets.NETS) - {"identity"}))
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_weight_has_one_optimizer(name, optimizer):
    """Muon has the matrices of the blocks, AdamW the rest, both with the rate and decay of the recipe."""
    plan = tiny_recipe(optimize={"optimizer": optimizer, "learning_rate": 3e-3, "weight_decay": 0.02})
    net = nets.build(name, {"width": 8, "dilations": [1, 2]} if name == "cascade-dae" else {})
    made = make_optimizers(net, plan)
    matrices = any(key.startswith("blocks.") and p.ndim == 2 for key, p in net.named_parameters())
    assert set(made) == {"adamw", optimizer if matrices else "adamw"}
    groups = [(kind, group) for kind, each in made.items() for group in each.param_groups]
    assert all((group["lr"], group["weight_decay"]) == (3e-3, 0.02) for _, group in groups)
    held = {id(p): kind for kind, group in groups for p in group["params"]}
    assert sum(len(group["params"]) for _, group in groups) == len(held) == len(list(net.parameters()))
    for key, p in net.named_parameters():
        matrix = key.startswith("blocks.") and p.ndim == 2
        assert held[id(p)] == ("muon" if optimizer == "muon" and matrix else "adamw"), key


def test_the_learning_rate_warms_up_and_falls_as_a_cosine():
    """Linear to the full rate over the warm-up, then half a cosine to the final rate."""
    plan = tiny_recipe(
        optimize={"steps": 1100, "warmup_steps": 100, "learning_rate": 2e-3, "final_learning_rate": 1e-4}
    )
    assert compute_learning_rate(0, plan) == pytest.approx(2e-5)
    assert compute_learning_rate(49, plan) == pytest.approx(1e-3)
    assert compute_learning_rate(99, plan) == compute_learning_rate(100, plan) == pytest.approx(2e-3)
    for k in (250, 600, 1000):
        expected = 1e-4 + 1.9e-3 * math.cos(math.pi / 2 * (k - 100) / 1000) ** 2
        assert compute_learning_rate(k, plan) == pytest.approx(expected)
    assert compute_learning_rate(1100, plan) == pytest.approx(1e-4)
    falling = [compute_learning_rate(k, plan) for k in range(100, 1101)]
    assert falling == sorted(falling, reverse=True)
