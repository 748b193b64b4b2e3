"""(4, whole copies) A shared move is made as far as any class that reads it runs there. Kind `move`."""

import numpy as np

from polyhull.optimize.programme.frame import Frame


def move_rows(frame: Frame) -> None:
    """sum of Y over a class's columns that read it there <= sum over the move's ways of W."""
    if frame.data.whole is None:
        return
    for m, (move, ways) in enumerate(zip(frame.data.whole.shared, frame.W, strict=True)):
        for mine in move.readers:
            reading = frame.Y[np.array(mine, dtype=np.int64)]
            parts = [(reading, np.ones(len(reading))), (ways, np.full(len(ways), -1.0))]
            frame.matrix.add(("move", m), 0.0, *parts)
