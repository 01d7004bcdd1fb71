"""The newest samples of a stream, always in one contiguous piece."""

import numpy as np


class RingBuffer:
    """Keeps the last `capacity` columns of what is pushed; NaN before anything was.

    Stored four times as long as needed, so that the newest columns are a view nearly always and
    are moved to the front only now and then.

    Parameters
    ----------
    n_rows, capacity : int
    """

    def __init__(self, n_rows: int, capacity: int) -> None:
        self.capacity = capacity
        self._data = np.full((n_rows, 4 * capacity), np.nan, np.float32)
        self._end = capacity

    def push(self, x: np.ndarray) -> None:
        """Append columns, shape (n_rows, n)."""
        x = x[:, -self.capacity :]
        n = x.shape[1]
        if self._end + n > self._data.shape[1]:
            self._data[:, : self.capacity] = self._data[:, self._end - self.capacity : self._end]
            self._end = self.capacity
        self._data[:, self._end : self._end + n] = x
        self._end += n

    def last(self, n: int) -> np.ndarray:
        """The newest `n` columns, (n_rows, n): a view that the next `push` may change."""
        assert n <= self.capacity
        return self._data[:, self._end - n : self._end]
