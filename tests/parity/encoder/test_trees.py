import numpy as np
import pytest

from parity.encoder.trees import named, nested

TREE = {"head": {"bias": np.zeros(2), "norm": {"scale": np.ones(3)}}, "word": np.ones((2, 2))}


@pytest.mark.parametrize("prefix", ["", "lm."])
def test_names_are_paths_and_lead_back(prefix):
    arrays = named(TREE, prefix)
    assert list(arrays) == [f"{prefix}head.bias", f"{prefix}head.norm.scale", f"{prefix}word"]
    back = nested(arrays, prefix)
    assert back.keys() == TREE.keys()
    assert back["head"]["norm"]["scale"] is TREE["head"]["norm"]["scale"]
