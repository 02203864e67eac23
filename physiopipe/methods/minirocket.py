"""MiniRocket and a ridge classifier (Dempster, Schmidt, Webb 2021, arXiv 2012.08791), with aeon's transform.

Unlike aeon's classifier: each channel is brought to one scale first, since channels are added to one another; the
penalty is chosen by validation people, not by leaving out one window, which resembles the person's others.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F32, F64, MODALITIES, ClipData
from physiopipe.clips.resampled import ResampledWindows
from physiopipe.clips.segments import ScaledWindows, Segments, segments_of
from physiopipe.errors import PhysiopipeError
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Positive, Section

if TYPE_CHECKING:
    from physiopipe.models.minirocket import MiniRocket
    from physiopipe.models.ridge import Ridge

_ROCKET = "rocket."  # before the names of the transform's arrays


class MiniRocketSettings(Section):
    """MiniRocket on whole windows; defaults as aeon's classifier."""

    features: Annotated[int, Field(ge=84)] = Field(10_000, description="rounded down to a multiple of 84")
    scaling: Literal["training", "window"] = Field(
        "training",
        description="training: each channel to mean 0 and SD 1 of the training people; window: each channel of each "
        "window by itself, without its amplitude",
    )
    smallest_penalty: Positive = Field(1e-3, description="of the ridge, the first of those that are tried")
    largest_penalty: Positive = Field(1e3, description="of the ridge, the last")
    penalties: int = Field(10, ge=1, description="how many are tried, evenly spaced in the exponent")


class MiniRocketRidge(Method):
    """Channels on one scale → shares of time above biases of convolutions → ridge regression on -1 and 1."""

    name = "minirocket"
    title = "MiniRocket"
    note = (
        "Shares of time that many fixed convolutions of EEG and ECG at 128 Hz are above a bias, and a ridge classifier "
        "a task; a clip's probability is the mean over windows of the logistic function of its score, uncalibrated."
    )
    Settings: ClassVar[type[MiniRocketSettings]] = MiniRocketSettings
    inputs = MODALITIES
    licence = "BSD-3-Clause"
    libraries = ("numpy", "scipy", "aeon", "numba")
    extras = ("aeon",)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.settings = setup.section(self.name, self.Settings)
        self._windows = ResampledWindows(setup.state_folder)
        self._scaled = ScaledWindows(self._windows)

    @property
    def provenance(self) -> str:
        from physiopipe.code_digest import library_versions

        changes = reductions(self.settings)
        return f"library aeon {library_versions(['aeon'])['aeon']} (nothing pretrained{changes and f'; {changes}'})"

    @property
    def penalties(self) -> F64:
        """Those that validation people chose in the latest fit, (tasks,)."""
        return self._penalties

    def precompute(self, clips: ClipData) -> None:
        self._windows.precompute(clips, MODALITIES)

    def workers(self, runs: int, cores: int) -> int:
        return min(runs, cores)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        from threadpoolctl import threadpool_limits

        from physiopipe.models.minirocket import MiniRocket
        from physiopipe.models.ridge import Ridge

        self._prevalence = prevalence(train)
        self._unit = self._scaled.unit(train)
        windows = self._cut(train)
        if not len(windows):
            raise PhysiopipeError(
                "0 training windows: expected one or more. Has any training person's window a present channel that is "
                "valid for half a window?"
            )
        with threadpool_limits(limits=1):
            self._rocket = MiniRocket.fit(windows.values, features=self.settings.features, seed=seed)
            features = self._rocket.transform(windows.values)
            deviation = features.std(axis=0, dtype=np.float64)
            self._deviation = np.where(deviation > 0, deviation, 1.0)
            targets = 2 * train.labels[windows.clip_of].astype(np.float64) - 1
            ridge = Ridge.fit(features / self._deviation, targets)
            self._penalties = self._chosen(ridge, validation)
            self._coefficients, self._intercepts = ridge.weights(self._penalties)
        return self

    def predict(self, test: ClipData) -> F64:
        from threadpoolctl import threadpool_limits

        windows = self._cut(test)
        found = np.full((len(test), len(self._prevalence)), np.nan)
        with threadpool_limits(limits=1):
            for clip, rows in enumerate(windows.by_clip(len(test))):
                # clip by clip: a product's rounding may depend on how many rows it has
                if len(rows):
                    features = self._features(self._rocket, windows.values[rows])
                    found[clip] = _logistic(features @ self._coefficients + self._intercepts).mean(axis=0)
        # nothing is known of a clip without a window, nor learnt of a task with one class
        one_class = (self._prevalence == 0) | (self._prevalence == 1)
        return np.where(np.isnan(found) | one_class, self._prevalence, found)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays: Arrays = {f"{_ROCKET}{name}": value for name, value in self._rocket.arrays().items()}
        own = ("unit", "prevalence", "deviation", "penalties", "coefficients", "intercepts")
        return arrays | {name: getattr(self, f"_{name}") for name in own}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        from physiopipe.models.minirocket import MiniRocket

        rocket = {name.removeprefix(_ROCKET): value for name, value in arrays.items() if name.startswith(_ROCKET)}
        self._rocket = MiniRocket.from_arrays(rocket)
        self._unit, self._prevalence, self._deviation = arrays["unit"], arrays["prevalence"], arrays["deviation"]
        self._penalties, self._coefficients = arrays["penalties"], arrays["coefficients"]
        self._intercepts = arrays["intercepts"]
        return self

    def _cut(self, clips: ClipData) -> Segments:
        """Whole windows, EEG and ECG channels, of which at least half is valid."""
        by_training = self.settings.scaling == "training"
        values = self._scaled.by_unit(clips, self._unit) if by_training else self._scaled.by_window(clips)
        return segments_of(values, clips, MODALITIES, values.shape[-1])

    def _features(self, rocket: "MiniRocket", values: F32) -> F64:
        found: F64 = rocket.transform(values) / self._deviation
        return found

    def _chosen(self, ridge: "Ridge", validation: ClipData) -> F64:
        """The penalty of each task with the best AUC of validation clips; of equals the largest, which says least.

        Where the AUC is not defined the squared error decides; without validation windows, the middle one.
        """
        from physiopipe.training.finetune import mean_auc

        it = self.settings
        tried = np.geomspace(it.largest_penalty, it.smallest_penalty, it.penalties)
        tasks = len(self._prevalence)
        windows = self._cut(validation)
        if not len(windows):
            return np.full(tasks, tried[len(tried) // 2])
        scores = ridge.predictions(self._features(self._rocket, windows.values), tried)
        clips, row = np.unique(windows.clip_of, return_inverse=True)
        shares = (row == np.arange(len(clips))[:, None]) / np.bincount(row)[:, None]  # (clips, windows)
        truth = validation.labels[clips]
        probability = shares @ _logistic(scores)
        found = []
        for task in range(tasks):
            value = [mean_auc(truth[:, [task]], each[:, [task]]) for each in probability]
            if np.isnan(value).any():
                value = [-float(np.square(each[:, task] - truth[:, task]).mean()) for each in probability]
            found.append(tried[int(np.argmax(value))])
        return np.array(found)


def _logistic(scores: F64) -> F64:
    """1 / (1 + e^-score), which keeps the order of scores; 0, where the classes part, becomes 1/2."""
    return 0.5 * (1 + np.tanh(0.5 * scores))
