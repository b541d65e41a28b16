"""A layer that changes the request changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compilm.engine import Layer
from compilm.runtime.layers.rewrite import Rewrite
from compilm.testing.layer_kit import CountingEngine, LayerKit, aask, ask, request


class TestRewrite(LayerKit):
    @pytest.fixture
    def layer(self) -> Layer:
        return Rewrite(lambda asked: asked)


def test_below_it_is_what_was_made_of_the_request() -> None:
    pair = Rewrite(lambda asked: replace(asked, model="other"))(CountingEngine().pair)
    assert {how(pair, request()).model for how in (ask, aask)} == {"other"}
    assert next(iter(pair.sync.stream(request()))).model == "other"
