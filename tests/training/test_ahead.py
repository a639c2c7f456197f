"""Batches made beside the step."""

import threading

import pytest

from tf_faces.training import ahead


def test_the_following_batch_is_begun_and_no_other():
    made, begun = [], threading.Event()

    def make(number, size):
        made.append((number, size))
        if number == 1:
            begun.set()
        return number * size

    batches = ahead.Ahead(make)
    assert batches.take((0, 4), (1, 4)) == 0
    assert begun.wait(10)  # Nobody has asked for it yet.
    assert batches.take((1, 4), None) == 4
    assert batches.take((7, 4), (8, 4)) == 28
    # A batch that was begun for nothing (after a restore) is not taken for another.
    assert batches.take((2, 3), None) == 6
    assert made == [(0, 4), (1, 4), (7, 4), (8, 4), (2, 3)]


def test_one_batch_at_a_time():
    running, most = [], []

    def make(number):
        running.append(number)
        most.append(len(running))
        running.remove(number)
        return number

    batches = ahead.Ahead(make)
    for number in range(50):
        assert batches.take((number,), (number + 1,)) == number
    assert set(most) == {1}


def test_an_error_comes_with_its_own_batch():
    def make(number):
        if number == 1:
            raise ValueError("batch 1 is broken")
        return number

    batches = ahead.Ahead(make)
    assert batches.take((0,), (1,)) == 0
    with pytest.raises(ValueError, match="batch 1 is broken"):
        batches.take((1,), (2,))
    assert batches.take((2,), None) == 2
