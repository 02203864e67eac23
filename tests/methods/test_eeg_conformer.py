import numpy as np
import torch

from physiopipe.clips.segments import Segments
from physiopipe.training.eeg_conformer import Recombination


def test_windows_are_recombined_among_those_with_the_same_labels() -> None:
    """Every sample says whose window it is of, and so which labels."""
    labels = np.array([[0, 1], [1, 1], [0, 0], [0, 1]], dtype=np.int8)
    clip_of = np.array([0, 0, 1, 2, 3])
    values = np.broadcast_to(np.arange(5, dtype=np.float32)[:, None, None], (5, 2, 16)).copy()
    more = Recombination(Segments(values, clip_of), labels, 1.0, 8, 0)
    windows, its_labels = more(30)
    assert windows.shape == (30, 2, 16)
    of_samples = labels[clip_of[windows.numpy().astype(int)]]  # (30, 2, 16, tasks)
    assert (of_samples == its_labels.numpy()[:, None, None]).all()
    assert np.unique(its_labels.numpy(), axis=0, return_counts=True)[1].tolist() == [10, 10, 10]
    mixed = windows[(its_labels == torch.tensor([0.0, 1.0])).all(dim=1)]
    assert set(mixed.unique().tolist()) == {0, 1, 4}
    assert max(len(window.unique()) for window in mixed) > 1
    assert len(more(2)[0]) == 2  # fewer than combinations of labels
