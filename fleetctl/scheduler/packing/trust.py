"""How far estimates are to be believed: as far as they have told long runs from short ones, learnt from what has ended.

A job whose expected run is nothing but noise should not stand at the end of the line for it. Expected seconds are drawn
towards what is usually expected, by the slope of the regression of log(ran) on log(expected): near 1 where estimates
are right up to a factor, 0 where they say nothing. `bias` is that factor, in card-seconds.
"""

from __future__ import annotations

import math

FORGET = 0.995  # weight of what ended before the last: about the last 200 count
PRIOR = 5.0  # squared log seconds: estimates are believed until this is outweighed
ENOUGH = 1.5  # times the slope: estimates that explain two thirds are believed wholly (measured, docs/performance.md)
SHORTEST_S = 1.0
LEAST_BIAS, MOST_BIAS = 0.05, 20.0


class Trust:
    """Learns from pairs of expected and real seconds."""

    def __init__(self) -> None:
        self._n = self._said = self._ran = self._said2 = self._both = 0.0
        self._said_work = self._ran_work = 0.0

    def learn(self, said_s: float, ran_s: float, cards: int) -> None:
        x, y = math.log(max(SHORTEST_S, said_s)), math.log(max(SHORTEST_S, ran_s))
        self._n = FORGET * self._n + 1.0
        self._said = FORGET * self._said + x
        self._ran = FORGET * self._ran + y
        self._said2 = FORGET * self._said2 + x * x
        self._both = FORGET * self._both + x * y
        self._said_work = FORGET * self._said_work + cards * said_s
        self._ran_work = FORGET * self._ran_work + cards * ran_s

    def weigh(self, said_s: float) -> float:
        """Seconds to go by where this was expected."""
        if not self._n:
            return said_s
        usual = self._said / self._n
        spread, common = self._said2 - usual * self._said, self._both - usual * self._ran
        slope = min(1.0, max(0.0, ENOUGH * (common + PRIOR) / (spread + PRIOR)))
        return math.exp(usual + slope * (math.log(max(SHORTEST_S, said_s)) - usual))

    @property
    def bias(self) -> float:
        """Card-seconds that were run for each that was expected; 1 where nothing is known."""
        if self._said_work <= 0.0:
            return 1.0
        return min(MOST_BIAS, max(LEAST_BIAS, self._ran_work / self._said_work))
