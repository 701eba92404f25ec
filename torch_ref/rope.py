"""Rotary position embedding.

Reference: Su et al. (2021), section 3.2, https://arxiv.org/abs/2104.09864
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rotate(
    x_BTNH: Float[Tensor, "B T N H"],
    positions_BT: Int[Tensor, "B T"] | None,
    theta: float,
    frequencies: tuple[float, ...] = (),
) -> Float[Tensor, "B T N H"]:
    """Turns channel pair i by position * theta^(-2i / H), so that products depend on distances only.

    The paper pairs neighbours, (2i, 2i + 1); here, as in the published encoders, channel i goes with i + H / 2.

    Args:
        x_BTNH: queries or keys; H even.
        positions_BT: None counts the columns: 0 to T - 1.
        theta: the slowest pair's wavelength approaches 2 pi theta.
        frequencies: of all pairs, where they are given and not theta's.
    """
    T, H = x_BTNH.shape[1], x_BTNH.shape[3]
    # Positions run into the thousands: half precision cannot even count them.
    dtype = torch.promote_types(x_BTNH.dtype, torch.float32)
    if positions_BT is None:
        positions_BT = torch.arange(T, device=x_BTNH.device)[None]
    frequency = theta ** (-torch.arange(0, H, 2, dtype=dtype, device=x_BTNH.device) / H)
    if frequencies:
        frequency = torch.tensor(frequencies, dtype=dtype, device=x_BTNH.device)
    angle_BT1h = positions_BT[:, :, None, None] * frequency
    cos_BT1h, sin_BT1h = angle_BT1h.cos(), angle_BT1h.sin()
    real_BTNh, imaginary_BTNh = x_BTNH.to(dtype).chunk(2, dim=-1)
    rotated = (
        real_BTNh * cos_BT1h - imaginary_BTNh * sin_BT1h,
        real_BTNh * sin_BT1h + imaginary_BTNh * cos_BT1h,
    )
    return torch.cat(rotated, dim=-1).to(x_BTNH.dtype)
