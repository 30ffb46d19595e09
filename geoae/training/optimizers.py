"""Optimizers, the schedule of the learning rate, and the clipping of gradients."""

import math

import torch
from torch import nn

from geoae.errors import InputError
from geoae.training import checkpoint
from geoae.training.recipe import AnyRecipe


def make_optimizers(net: nn.Module, recipe: AnyRecipe) -> checkpoint.Optimizers:
    """Make AdamW and, if the recipe selects it, Muon for the matrices of the blocks; each weight belongs to one."""
    o, named = recipe.optimize, dict(net.named_parameters())
    if not named:
        raise InputError(f"Net {recipe.net.name!r} has no weights, and nothing to train. Choose another in the recipe.")
    matrices = {k: p for k, p in named.items() if o.optimizer == "muon" and k.startswith("blocks.") and p.ndim == 2}
    rest = [p for k, p in named.items() if k not in matrices]
    # fused: on CPUs with wide layers, the default of torch takes longer than the rest of a step
    adamw = torch.optim.AdamW(rest, lr=o.learning_rate, weight_decay=o.weight_decay, fused=True)
    made: checkpoint.Optimizers = {"adamw": adamw}
    if matrices:  # steps of the size of those of AdamW, so that one learning rate suits both
        made["muon"] = torch.optim.Muon(
            matrices.values(), lr=o.learning_rate, weight_decay=o.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
    return made


def clip_gradients(net: nn.Module, most: float) -> None:
    """Clip the total norm of gradients, as `clip_grad_norm_`; on a CPU, gradients below the limit are not rewritten."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if norm.device.type != "cpu" or not norm <= most:  # on a GPU, a comparison would wait for the norm
        nn.utils.clip_grads_with_norm_(net.parameters(), most, norm)


def compute_learning_rate(step: int, recipe: AnyRecipe) -> float:
    """Linear warm-up, then half a cosine down to the final rate (Loshchilov & Hutter, 2017, arXiv:1608.03983)."""
    o = recipe.optimize
    if step < o.warmup_steps:
        return o.learning_rate * (step + 1) / o.warmup_steps
    done = (step - o.warmup_steps) / max(o.steps - o.warmup_steps, 1)
    return o.final_learning_rate + (o.learning_rate - o.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * done))
