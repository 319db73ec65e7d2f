"""Gaussian process regression (kriging) on numbers and categories, with exact leave-group-out.

Kernel: A exp(-½ (|u - u'|² / L² + Σ w_j [k_j differs])) + Σ b_j [k_j equal] + c on standardised
numbers u and categories k; observation noise s². Source: Rasmussen and Williams, "Gaussian
Processes for Machine Learning", 2006, chapter 2; what a group of observations would have been
predicted without it follows from the inverse of the whole kernel matrix, their equation 5.12 for a
block instead of a row: y_g - [K⁻¹]_gg⁻¹ [K⁻¹ y]_g.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from tiers.core.profiles.setups import Floats, Ints


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel's constants. `weights` and `shared` have one entry per category."""

    weights: tuple[float, ...]
    shared: tuple[float, ...]
    amplitude: float = 0.3
    length: float = 2.5
    constant: float = 0.3
    noise: float = 0.02

    def between(self, u: Floats, k: Ints, v: Floats, q: Ints) -> Floats:
        """Covariance `(n, m)` of points `(n, d)`, `(n, j)` with points `(m, d)`, `(m, j)`."""
        squared = (u**2).sum(1)[:, None] + (v**2).sum(1)[None] - 2 * u @ v.T
        far = np.maximum(squared, 0.0) / self.length**2
        same = [k[:, j][:, None] == q[:, j][None] for j in range(len(self.weights))]
        for equal, weight in zip(same, self.weights, strict=True):
            far += weight * ~equal
        covariance = self.amplitude * np.exp(-0.5 * far) + self.constant
        for equal, shared in zip(same, self.shared, strict=True):
            covariance += shared * equal
        return np.asarray(covariance)


@dataclass(frozen=True, slots=True)
class Kriging:
    """Fitted to `values` `(n,)` at `numbers` `(n, d)` and `categories` `(n, j)`.

    `spread` is the maximum likelihood of the kernel's scale, √(y' K⁻¹ y / n): it moves no mean.
    """

    kernel: Kernel
    centre: Floats
    scale: Floats
    numbers: Floats
    categories: Ints
    values: Floats
    mean: float
    factor: tuple[Floats, bool]
    spread: float

    @classmethod
    def fit(cls, kernel: Kernel, numbers: Floats, categories: Ints, values: Floats) -> Self:
        """Standardise the numbers and factor the kernel matrix, O(n³)."""
        centre, spread = numbers.mean(0), numbers.std(0)
        scale = np.where(spread > 0, spread, 1.0)
        u = (numbers - centre) / scale
        matrix = kernel.between(u, categories, u, categories)
        matrix[np.diag_indices_from(matrix)] += kernel.noise
        factor, mean = cho_factor(matrix, lower=True, overwrite_a=True), float(values.mean())
        rest = values - mean
        return cls(
            kernel=kernel,
            centre=centre,
            scale=scale,
            numbers=u,
            categories=categories,
            values=values,
            mean=mean,
            factor=factor,
            spread=float(np.sqrt(rest @ cho_solve(factor, rest) / len(rest))),
        )

    def predict(self, numbers: Floats, categories: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation `(m,)` of a new observation."""
        u = (numbers - self.centre) / self.scale
        across = self.kernel.between(u, categories, self.numbers, self.categories)
        solved = cho_solve(self.factor, np.column_stack([self.values - self.mean, across.T]))
        mean = self.mean + across @ solved[:, 0]
        own = self.kernel.amplitude + self.kernel.constant + sum(self.kernel.shared)
        variance = own + self.kernel.noise - (across * solved[:, 1:].T).sum(1)
        return np.asarray(mean), self.spread * np.sqrt(np.maximum(variance, 0.0))

    def without_own_group(self, groups: Ints) -> Floats:
        """What each observation would have been predicted had its whole group been unseen."""
        inverse = cho_solve(self.factor, np.eye(len(self.values)))
        solved = inverse @ (self.values - self.mean)
        predicted = np.empty_like(self.values)
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            block = inverse[np.ix_(rows, rows)]
            predicted[rows] = self.values[rows] - np.linalg.solve(block, solved[rows])
        return predicted
