"""Refusals as people read them: alike reasons once, with their nodes folded."""

from __future__ import annotations

from fleetctl.views.quotes import refusal_groups


def test_reasons_that_differ_in_a_name_stand_once_with_the_words_of_the_first() -> None:
    stray = "0 of 8 cards free, 8 asked for; card {}: process {} of {} runs there without a lease"
    groups = refusal_groups(
        {
            "n1": stray.format(0, 4711, "carol"),
            "n2": stray.format(3, 99, "dan"),
            "n3": "the whole node was asked for, l-abc runs there",
            "n4": "the whole node was asked for, l-xyz runs there",
            "n5": "has 4 cards, 8 are asked for",
            "n6": "has 4 cards, 8 are asked for",
            "n7": "has 4 cards, 8 are asked for",
            "n8": "does not answer",
        }
    )
    assert groups == [
        (["n5", "n6", "n7"], "has 4 cards, 8 are asked for"),
        (["n1", "n2"], stray.format(0, 4711, "carol") + " (n1; the others alike)"),
        (["n3", "n4"], "the whole node was asked for, l-abc runs there (n3; the others alike)"),
        (["n8"], "does not answer"),
    ]
