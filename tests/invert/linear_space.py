"""A linear prior with the interface of a LatentSpace, in numpy alone."""

import numpy as np


class LinearSpace:
    """m = mean + z @ basis, with held-out models that also have a residual."""

    def __init__(self, mean, basis, held_out=None, name="linear"):
        self.mean, self.basis, self.name = np.asarray(mean, float), np.asarray(basis, float), name
        self.d, self.shape, self.digest, self.units = len(basis), self.mean.shape, "0" * 12, ""
        self.mask = np.ones(self.shape, bool)
        self._flat = self.basis.reshape(self.d, -1)
        if held_out is not None:
            self.held_out, self.held_out_codes = held_out, self.encode(held_out)
        else:
            self.held_out, self.held_out_codes = np.empty((0, *self.shape)), np.empty((0, self.d))

    @classmethod
    def from_models(cls, models, d, held_out=None):
        """Principal components of models, by the smaller of the two Gram matrices."""
        flat = models.reshape(len(models), -1)
        mean = flat.mean(0)
        values, vectors = np.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
        basis = (vectors[:, -d:] * np.sqrt(values[-d:])).T
        shape = models.shape[1:]
        return cls(mean.reshape(shape), basis.reshape(d, *shape), held_out)

    def decode(self, z):
        return self.mean + (z @ self._flat).reshape(*z.shape[:-1], *self.shape)

    def encode(self, m, refine=0):
        rest = (m - self.mean).reshape(*m.shape[: m.ndim - len(self.shape)], -1)
        return rest @ np.linalg.pinv(self._flat)

    def jacobian(self, z):
        slope = np.moveaxis(self.basis, 0, -1)
        return np.broadcast_to(slope, (*np.shape(z)[:-1], *slope.shape))

    def jvp(self, z, dz):
        return (dz @ self._flat).reshape(*dz.shape[:-1], *self.shape)

    def vjp(self, z, dm):
        return dm.reshape(*z.shape[:-1], -1) @ self._flat.T

    def sample(self, n, seed=0):
        return np.random.default_rng(seed).normal(size=(n, self.d))

    def log_prior(self, z):
        return -0.5 * (z**2).sum(-1)
