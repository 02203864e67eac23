"""Ridge regression on many more features than rows, for many penalties at the price of one (Hoerl, Kennard 1970)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ridge:
    """Least squares with an intercept that is not penalised, in the space of the training rows.

    With X the centred training rows and X Xᵀ = U diag(λ) Uᵀ, the weights are Xᵀ U (λ + penalty)⁻¹ Uᵀ y.
    """

    mean: F64  # (k,), of the features
    target_mean: F64  # (targets,)
    directions: F64  # (k, n), Xᵀ U
    spectrum: F64  # (n,), λ
    targets: F64  # (n, targets), Uᵀ y

    @classmethod
    def fit(cls, features: F64, targets: F64) -> "Ridge":
        """Decompose training features (n, k) and targets (n, targets); no penalty is needed yet."""
        mean, target_mean = features.mean(axis=0), targets.mean(axis=0)
        centred = features - mean
        spectrum, vectors = np.linalg.eigh(centred @ centred.T)
        return cls(
            mean, target_mean, centred.T @ vectors, np.clip(spectrum, 0, None), vectors.T @ (targets - target_mean)
        )

    def weights(self, penalties: F64) -> tuple[F64, F64]:
        """Coefficients (k, targets) and intercepts (targets,) with a penalty > 0 a target, (targets,)."""
        coefficients: F64 = self.directions @ (self.targets / (self.spectrum[:, None] + penalties))
        return coefficients, self.target_mean - self.mean @ coefficients

    def predictions(self, features: F64, penalties: F64) -> F64:
        """What each penalty (p,) predicts for other rows (m, k): (p, m, targets)."""
        projected = (features - self.mean) @ self.directions
        shrunk = self.targets / (self.spectrum[:, None] + penalties[:, None, None])
        found: F64 = projected @ shrunk + self.target_mean
        return found
