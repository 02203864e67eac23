"""Ours with embeddings standardised by subject: transductive, for it uses a test subject's unlabelled clips."""

import numpy as np

from physiopipe.clips.clip_data import F32, ClipData
from physiopipe.methods.base import Setup
from physiopipe.methods.ours import Ours


class Transductive(Ours):
    """Every subject's embeddings on the scale of that subject's own windows, training and test subjects alike.

    `predict` must be given all clips of a test subject at once: their mean and SD, not their labels, are used. What is
    fitted, and the thresholds, know no test subject; what is predicted of a clip knows the subject's other clips. So no
    row of it may be compared with an inductive one as an equal. The encoders stay frozen whatever the parameter
    `frozen` says: a subject's mean is not to be had from a batch.
    """

    name = "transductive"
    title = "Ours, transductive"
    note = "TRANSDUCTIVE: embeddings standardised by subject, for which a test subject's unlabelled clips are used."
    any_read_out = False
    exempt = {"alone": "A subject's clips are standardised together."}  # noqa: RUF012

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.settings = self.settings.model_copy(update={"frozen": True})

    @property
    def provenance(self) -> str:
        return f"{super().provenance}, TRANSDUCTIVE: standardised by subject, test subjects' unlabelled clips included"

    @property
    def _standardised(self) -> str:
        return "standardised by each subject's own windows"

    def _embeddings(self, clips: ClipData) -> F32:
        found = super()._embeddings(clips)
        scaled = np.zeros_like(found)
        start = 0
        for width in self._widths(clips):
            part = found[:, start : start + width]
            with_signal = (part != 0).any(axis=1)
            for name in np.unique(clips.subjects):
                rows = (clips.subjects == name)[clips.clip_of] & with_signal
                if rows.any():
                    deviation = part[rows].std(axis=0)
                    centred = part[rows] - part[rows].mean(axis=0)
                    scaled[rows, start : start + width] = centred / np.where(deviation > 1e-8, deviation, 1.0)
            start += width
        return scaled
