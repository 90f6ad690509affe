"""Packed weights give the same products as plain ones, for one row and for many."""

import pytest
import torch

from longctx.scout.product import can_pack, packed, product

CPU = torch.device("cpu")


@pytest.mark.skipif(not can_pack(torch.bfloat16, CPU), reason="no packed kernels for this processor")
@pytest.mark.parametrize("rows", [1, 2, 5, 511, 700])
def test_packed_and_plain_products_are_equal(rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 96, generator=generator).bfloat16()
    weight = torch.randn(96, 160, generator=generator).bfloat16().T  # as fused experts lie: the other way round
    with torch.inference_mode():
        ours = product(x, packed(weight))
    exact = x.double() @ weight.T.double()
    torch.testing.assert_close(ours.double(), exact, atol=1e-6, rtol=2**-8)
    torch.testing.assert_close(product(x, weight).double(), exact, atol=1e-6, rtol=2**-8)


def test_only_bfloat16_on_a_processor_is_packed() -> None:
    assert not can_pack(torch.float32, CPU)
    assert not can_pack(torch.bfloat16, torch.device("cuda"))
