"""Logistic regressions on rows with holes: filled by the training mean, z-scored, one regression a task."""

from typing import TYPE_CHECKING, Self

import numpy as np

from physiopipe.clips.clip_data import F64
from physiopipe.methods.base import Arrays

if TYPE_CHECKING:
    import numpy.typing as npt
    from sklearn.pipeline import Pipeline


class FilledRegressions:
    """What was fitted: means that fill holes, and of each task a scaler with its regression, or the share of high
    labels where the training rows are of one class.
    """

    def __init__(self, fill: F64, constant: F64, models: "list[Pipeline | None]") -> None:
        self._fill, self._constant, self._models = fill, constant, models

    @classmethod
    def fitted(
        cls,
        features: F64,
        labels: "npt.NDArray[np.int8]",
        constant: F64,
        inverse_regularisation: float,
        weights: F64 | None = None,
    ) -> Self:
        """Fit on `features` (n, k), NaN where nothing was measured, and `labels` (n, tasks).

        Args:
            constant: share of high labels by task, (tasks,), said where there is nothing to separate.
            inverse_regularisation: C of the L2 penalty: the loss is C times the sum of the cross-entropies, plus half
                the squared coefficients.
            weights: (n,), how often each row counts; None: once.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        fill = training_means(features)
        filled = np.where(np.isfinite(features), features, fill)
        weighing = {f"{step}__sample_weight": weights for step in ("standardscaler", "logisticregression")}
        models: list[Pipeline | None] = []
        for task in range(labels.shape[1]):
            truth = labels[:, task]
            one_class = truth.min() == truth.max()  # nothing to separate: predict the prevalence
            model = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularisation, max_iter=2000))
            models.append(None if one_class else model.fit(filled, truth, **weighing))
        return cls(fill, constant, models)

    def predict(self, features: F64) -> F64:
        """Probability of high of rows (n, k), (n, tasks)."""
        filled = np.where(np.isfinite(features), features, self._fill)
        columns = [
            np.full(len(filled), self._constant[task]) if model is None else model.predict_proba(filled)[:, 1]
            for task, model in enumerate(self._models)
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    @property
    def trained_parameters(self) -> int:
        """Coefficients and intercepts of the regressions."""
        regressions = [model.steps[-1][1] for model in self._models if model is not None]
        return sum(each.coef_.size + each.intercept_.size for each in regressions)

    def state(self) -> Arrays:
        """Enough for `restored`."""
        arrays: Arrays = {"fill": self._fill, "constant": self._constant}
        for task, model in enumerate(self._models):
            if model is not None:
                scaler, regression = (step for _, step in model.steps)
                arrays |= {f"{task}.mean": scaler.mean_, f"{task}.deviation": scaler.scale_}
                arrays |= {f"{task}.coefficients": regression.coef_[0], f"{task}.intercept": regression.intercept_}
        return arrays

    @classmethod
    def restored(cls, arrays: Arrays) -> Self:
        """As what these arrays are the `state` of; predictions are the same bytes."""
        known = [f"{task}.mean" in arrays for task in range(len(arrays["constant"]))]
        models = [_regression(arrays, task) if there else None for task, there in enumerate(known)]
        return cls(arrays["fill"], arrays["constant"], models)


def training_means(features: F64) -> F64:
    """Mean of what was measured of each feature, (k,); 0 where nothing was."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(features).any(axis=0)
    means: F64 = np.where(known, np.nanmean(np.where(known, features, 0.0), axis=0), 0.0)
    return means


def _regression(arrays: Arrays, task: int) -> "Pipeline":
    """The scaler and the regression of a task, from what was kept of them."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler, regression = StandardScaler(), LogisticRegression()
    scaler.mean_, scaler.scale_ = arrays[f"{task}.mean"], arrays[f"{task}.deviation"]
    scaler.n_features_in_ = regression.n_features_in_ = len(scaler.mean_)
    regression.coef_, regression.intercept_ = arrays[f"{task}.coefficients"][None], arrays[f"{task}.intercept"]
    regression.classes_ = np.array([0, 1], dtype=np.int8)
    return make_pipeline(scaler, regression)
