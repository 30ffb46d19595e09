"""Couplings are invertible, and their log determinant is that of the Jacobian."""

import torch

from geoae.nets.parts.couplings import Couplings


def make_map(n: int = 4) -> Couplings:
    torch.manual_seed(0)
    made = Couplings(3, n, 8).double()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return made.requires_grad_(False)


def test_the_inverse_gives_codes_back():
    """from_normal(to_normal(z)) = z."""
    z = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    made = make_map()
    assert float((made.to_normal(z)[0] - z).abs().max()) > 0.1
    torch.testing.assert_close(made.from_normal(made.to_normal(z)[0]), z)


def test_the_log_determinant_is_that_of_the_jacobian():
    """Against automatic differentiation, also after standardising."""
    made = make_map()
    z = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    made.standardise(z)
    for code in z[:5]:
        jacobian = torch.autograd.functional.jacobian(lambda c: made.to_normal(c[None])[0][0], code)
        torch.testing.assert_close(made.to_normal(code[None])[1][0], torch.linalg.slogdet(jacobian)[1])


def test_standardised_codes_have_mean_zero_and_variance_one():
    """Over the codes that are standardised."""
    made = make_map()
    z = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    made.standardise(z)
    normal = made.to_normal(z)[0]
    torch.testing.assert_close(normal.mean(0), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(normal.std(0), torch.ones(3, dtype=torch.float64))


def test_new_couplings_are_the_identity():
    """Before they are fitted, and without any."""
    z = torch.randn(4, 3)
    for n in (0, 3):
        made = Couplings(3, n, 8)
        torch.testing.assert_close(made.to_normal(z)[0], z)
        assert not made.to_normal(z)[1].any()
