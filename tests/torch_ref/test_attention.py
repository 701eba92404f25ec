"""The reference's attention, masks and rotary positions against torch's own and against the formulas."""

import cmath
import dataclasses

import pytest
import torch
from torch import nn

from tests.torch_ref.helpers import MODERN, TINY, assert_agree, normal, random_projection, randomise, tensors
from torch_ref import Attention, masks, rotate
from torch_ref.attention import Positions

# torch.nn ties the heads to the width: N * H = D.
SQUARE = dataclasses.replace(TINY, embed_dim=24)
B, T, S, D = 2, 5, 7, SQUARE.embed_dim


def cross_inputs():
    """Queries and keys that differ in number; ragged keys, and some pairs forbidden one by one."""
    mask_BTS = masks.from_lengths(torch.tensor([7, 4]), S).any(dim=1)[:, None].repeat(1, T, 1)
    mask_BTS[0, 2, :5] = False
    mask_BTS[1, 0, 1:] = False
    return normal(B, T, D, seed=3), normal(B, S, D, seed=4), normal(B, S, D, seed=5), mask_BTS


@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch_multihead_attention_on_separate_inputs(bias):
    theirs = randomise(nn.MultiheadAttention(D, SQUARE.num_heads, bias=bias, batch_first=True))
    ours = Attention(dataclasses.replace(SQUARE, attention_bias=bias), layer=0).double()
    state = {"out.weight": theirs.out_proj.weight}
    state |= dict(zip(("query.weight", "key.weight", "value.weight"), theirs.in_proj_weight.chunk(3), strict=True))
    if bias:
        state |= dict(zip(("query.bias", "key.bias", "value.bias"), theirs.in_proj_bias.chunk(3), strict=True))
        state |= {"out.bias": theirs.out_proj.bias}
    ours.load_state_dict(state, strict=True)

    *inputs, mask_BTS = cross_inputs()
    output_BTD, taps = ours(*inputs, mask_BTS)
    forbidden = ~mask_BTS.repeat_interleave(SQUARE.num_heads, dim=0)
    expected_BTD, weights_BNTS = theirs(*inputs, attn_mask=forbidden, average_attn_weights=False)
    assert_agree(taps.weights, weights_BNTS)
    assert_agree(output_BTD, expected_BTD)


@pytest.mark.parametrize("width", [None, 1, 3])
def test_equals_scaled_dot_product_attention_where_heads_do_not_fill_the_width(width):
    config = dataclasses.replace(TINY, windows=(None, width))
    attention = randomise(Attention(config, layer=1))
    x_BTD, mask_BTS = normal(2, 9, 20), masks.from_lengths(torch.tensor([9, 6]), 9)
    _, taps = attention(x_BTD, x_BTD, x_BTD, mask_BTS)
    near_TS = torch.tensor([[width is None or abs(t - s) <= width for s in range(9)] for t in range(9)])
    heads = (tap.transpose(1, 2) for tap in (taps.query, taps.key, taps.value))
    context_BNTH = nn.functional.scaled_dot_product_attention(*heads, attn_mask=(mask_BTS & near_TS)[:, None])
    for b, length in enumerate([9, 6]):
        assert_agree(taps.context[b, :length], context_BNTH.transpose(1, 2)[b, :length])
    assert (taps.context[1, 6:] == 0).all()


def test_masked_scores_are_the_scores_or_the_least_number():
    *inputs, mask_BTS = cross_inputs()
    _, taps = randomise(Attention(SQUARE, layer=0))(*inputs, mask_BTS)
    allowed_BNTS = mask_BTS[:, None].expand(taps.scores.shape)
    assert torch.equal(taps.masked_scores[allowed_BNTS], taps.scores[allowed_BNTS])
    assert (taps.masked_scores[~allowed_BNTS] == torch.finfo(torch.float64).min).all()
    assert (taps.weights[~allowed_BNTS] == 0).all()
    assert (taps.weights[allowed_BNTS] > 0).all()


@pytest.mark.parametrize("config", [TINY, MODERN], ids=["tiny", "modern"])
def test_nan_where_nothing_attends_spreads_neither_forward_nor_backward(config):
    attention = randomise(Attention(config, layer=1))
    query_BTD, key_BSD, value_BSD = (normal(2, 7, 20, seed=seed) for seed in (3, 4, 5))
    valid_BT = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0, 0]]).bool()
    for x in (query_BTD, key_BSD, value_BSD):
        x[~valid_BT] = torch.nan
        x.requires_grad_()
    output_BTD, taps = attention(query_BTD, key_BSD, value_BSD, masks.from_valid(valid_BT))
    assert all(tap.isfinite().all() for tap in tensors((output_BTD, taps)))
    assert (taps.context[~valid_BT] == 0).all()
    random_projection(output_BTD).backward()
    for x in (query_BTD, key_BSD, value_BSD):
        assert x.grad.isfinite().all()
        assert (x.grad[~valid_BT] == 0).all()
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())


def test_a_row_that_the_window_empties_is_empty():
    attention = randomise(Attention(dataclasses.replace(TINY, windows=(2, 2)), layer=0))
    mask_BTS = torch.zeros(1, 7, 7, dtype=torch.bool)
    mask_BTS[0, 0, 6] = mask_BTS[0, 3, 4] = True
    x_BTD = normal(1, 7, 20)
    x_BTD[0, [0, 6]] = torch.nan
    _, taps = attention(x_BTD, x_BTD, x_BTD, mask_BTS)
    assert all(tap.isfinite().all() for tap in tensors(taps))
    assert taps.weights.nonzero().tolist() == [[0, n, 3, 4] for n in range(3)]


def test_rotation_is_multiplication_by_a_complex_number():
    theta, H = 50.0, 8
    x_BTNH, positions_BT = normal(2, 4, 3, H), torch.tensor([[0, 1, 2, 3], [7, 0, 1, 300]])
    rotated_BTNH = rotate(x_BTNH, positions_BT, theta)
    expected_BTNH = torch.empty_like(x_BTNH)
    for b in range(2):
        for t in range(4):
            for i in range(H // 2):
                turn = cmath.exp(1j * positions_BT[b, t].item() * theta ** (-2 * i / H))
                pair_N = torch.complex(x_BTNH[b, t, :, i], x_BTNH[b, t, :, i + H // 2]) * turn
                expected_BTNH[b, t, :, i], expected_BTNH[b, t, :, i + H // 2] = pair_N.real, pair_N.imag
    assert_agree(rotated_BTNH, expected_BTNH)
    assert torch.equal(rotate(x_BTNH, None, theta), rotate(x_BTNH, torch.arange(4).expand(2, 4), theta))


def test_rotary_scores_depend_on_distances_only():
    attention, mask_BTS = randomise(Attention(MODERN, layer=0)), torch.ones(1, 6, 6, dtype=torch.bool)
    x_BTD = normal(1, 6, 20)
    _, near = attention(x_BTD, x_BTD, x_BTD, mask_BTS, Positions(torch.arange(6)[None]))
    _, far = attention(x_BTD, x_BTD, x_BTD, mask_BTS, Positions(torch.arange(6)[None] + 1000))
    assert_agree(far.scores, near.scores)
    assert not torch.allclose(far.rotated_key, near.rotated_key)


def test_refuses_rotary_positions_for_queries_and_keys_that_differ_in_number():
    query_BTD, key_BSD, value_BSD, mask_BTS = (x[..., :20] if x.is_floating_point() else x for x in cross_inputs())
    attention = randomise(Attention(MODERN, layer=0))
    with pytest.raises(ValueError, match="as many of both, got 5 queries and 7 keys: leave positions out"):
        attention(query_BTD, key_BSD, value_BSD, mask_BTS, Positions(torch.arange(T).expand(B, T)))
    _, taps = attention(query_BTD, key_BSD, value_BSD, mask_BTS)
    assert_agree(taps.rotated_key, rotate(taps.key, torch.arange(S).expand(B, S), MODERN.rope_thetas[0]))


def test_masks_from_lengths_valid_positions_and_segments():
    lengths = masks.from_lengths(torch.tensor([2, 0]), 3)
    assert lengths.int().tolist() == [[[1, 1, 0], [1, 1, 0], [0, 0, 0]], [[0, 0, 0]] * 3]
    valid = masks.from_valid(torch.tensor([[True, False, True]]))
    assert valid.int().tolist() == [[[1, 0, 1], [0, 0, 0], [1, 0, 1]]]
    segments = masks.from_segments(torch.tensor([[1, 2, 2, 0, 0]]))
    assert segments[0].int().tolist() == [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0] * 5, [0] * 5]
    assert masks.seen(segments).int().tolist() == [[1, 1, 1, 0, 0]]


def test_seen_reads_columns_and_sees_reads_rows():
    mask_BTS = torch.tensor([[[0, 1, 0], [0, 0, 0]]]).bool()
    assert masks.seen(mask_BTS).tolist() == [[False, True, False]]
    assert masks.sees(mask_BTS).tolist() == [[True, False]]


def test_positions_restart_in_every_document():
    segments_BT = torch.tensor([[1, 1, 1, 2, 2, 0], [0, 3, 3, 5, 0, 0]])
    assert masks.positions_from_segments(segments_BT).tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 1, 0, 0, 0]]


def test_refuses_lengths_and_segments_out_of_range():
    with pytest.raises(ValueError, match=r"lengths must be from 0 to 3, the number of columns, got \[2, 4\]"):
        masks.from_lengths(torch.tensor([2, 4]), 3)
    with pytest.raises(ValueError, match=r"lengths must be from 0 to 3, the number of columns, got \[-1\]"):
        masks.from_lengths(torch.tensor([-1]), 3)
    for function in (masks.from_segments, masks.positions_from_segments):
        with pytest.raises(ValueError, match=r"segments must be 0 for padding or 1, 2, \.\.\. for documents, got -2"):
            function(torch.tensor([[1, -2]]))


def test_drop_scales_what_it_keeps():
    x, keep = torch.tensor([1.5, torch.nan, 3.0]), torch.tensor([True, False, True])
    assert masks.drop(x, keep, 0.25).tolist() == [2.0, 0.0, 4.0]
    assert masks.drop(x, None, 0.25) is x
