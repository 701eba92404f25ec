"""Kernels are told apart by their names."""

import pytest

from benchmarks.gpu.breakdown import kind_of, of_folder, summed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NNT", "products"),
        ("gemm_fusion_dot_17", "products"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop", "attention kernels"),
        ("loop_rng_bit_generator_fusion", "random bits"),
        ("MemcpyD2D", "copies"),
        ("input_reduce_fusion_3", "reductions"),
        ("input_scatter_fusion", "scatter and gather"),
        ("loop_add_fusion", "other fusions"),
        ("nccl", "rest"),
    ],
)
def test_kernels_have_kinds(name, kind):
    assert kind_of(name) == kind


def test_times_add_up_by_kind_and_by_name():
    found = summed([("loop_fusion_1", 3e6), ("loop_fusion_2", 1e6), ("sm90_xmma_gemm", 8e6)], steps=2)
    assert found == {
        "kinds": {"products": 4.0, "other fusions": 2.0},
        "longest": {"sm90_xmma_gemm": 4.0, "loop_fusion": 2.0},
    }


def test_a_folder_without_a_profile_is_said_to_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*\.xplane\.pb below "):
        of_folder(str(tmp_path), steps=1)
