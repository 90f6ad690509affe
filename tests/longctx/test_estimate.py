"""Estimates against the figures that follow from the published shapes, and against published tables."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longctx.estimate import (
    MACHINES,
    MODELS,
    Dtype,
    Tier,
    active_weight_bytes,
    estimate,
    global_attention_flops,
    kv_bytes,
    kv_bytes_per_token,
    kv_read_bytes,
    linear_flops,
    local_attention_flops,
    local_kv_bytes,
    prefill_flops,
    weight_bytes,
)

SCOUT = MODELS["scout"]
LENGTHS = {"8k": 8192, "128k": 131_072, "1M": 1_048_576, "3.6M": 3_600_000, "10M": 10_485_760}


def close(value: float, share: float = 0.02) -> object:
    return pytest.approx(value, rel=share)


def test_scouts_parameters() -> None:
    assert SCOUT.global_layers == 12 and SCOUT.local_layers == 36
    assert SCOUT.text_parameters == close(107.77e9, 0.001)
    assert SCOUT.active_parameters == close(17.17e9, 0.001)
    assert SCOUT.attention_parameters == 62_914_560
    assert SCOUT.expert_parameters == 125_829_120


def test_mavericks_parameters() -> None:
    maverick = MODELS["maverick"]
    assert maverick.moe_layers == 24
    assert maverick.text_parameters == close(400.7e9, 0.001)
    assert maverick.active_parameters == close(17.2e9)


def test_behemoth_is_marked_as_planned_and_near_what_was_announced() -> None:
    assert [name for name, shape in MODELS.items() if shape.planned] == ["behemoth"]
    assert MODELS["behemoth"].text_parameters == close(2e12)
    assert MODELS["behemoth"].active_parameters == close(288e9)


@pytest.mark.parametrize(
    ("dtype", "global_layers", "all_layers"),
    [(Dtype.BF16, 49_152, 196_608), (Dtype.FP8, 24_576, 98_304), (Dtype.INT4, 13_824, 55_296)],
)
def test_kv_bytes_of_a_token(dtype: Dtype, global_layers: int, all_layers: int) -> None:
    assert kv_bytes_per_token(SCOUT, dtype) == global_layers
    assert kv_bytes_per_token(SCOUT, dtype, all_layers=True) == all_layers


@pytest.mark.parametrize(
    ("dtype", "gigabytes"),
    [
        (Dtype.BF16, {"128k": 6.44, "1M": 51.5, "3.6M": 177, "10M": 515}),
        (Dtype.FP8, {"128k": 3.2, "1M": 25.8, "3.6M": 88.5, "10M": 258}),
        (Dtype.INT4, {"128k": 1.8, "1M": 14.5, "3.6M": 49.8, "10M": 145}),
    ],
)
def test_kv_of_the_global_layers(dtype: Dtype, gigabytes: dict[str, float]) -> None:
    found = {name: kv_bytes_per_token(SCOUT, dtype) * LENGTHS[name] / 1e9 for name in gigabytes}
    assert found == {name: close(value) for name, value in gigabytes.items()}


def test_local_kv_stops_growing_at_a_chunk() -> None:
    assert local_kv_bytes(SCOUT, 8192, Dtype.BF16) == close(1.21e9)
    assert local_kv_bytes(SCOUT, 10_485_760, Dtype.BF16) == local_kv_bytes(SCOUT, 8192, Dtype.BF16)
    assert local_kv_bytes(SCOUT, 4096, Dtype.BF16) == local_kv_bytes(SCOUT, 8192, Dtype.BF16) / 2


def test_weights() -> None:
    assert weight_bytes(SCOUT, Dtype.BF16) == close(217e9)
    assert weight_bytes(SCOUT, Dtype.FP8) == close(109e9)
    assert 57e9 < weight_bytes(SCOUT, Dtype.INT4) < 61.5e9
    assert active_weight_bytes(SCOUT, Dtype.FP8) == close(16.14e9)


def test_the_operations_of_one_token() -> None:
    assert linear_flops(SCOUT, 1) == close(30.2e9)
    assert local_attention_flops(SCOUT, 1_048_576) / 1_048_576 == close(3.02e9)
    assert global_attention_flops(SCOUT, 1000) == 122_880 * 1000**2


@pytest.mark.parametrize(
    ("name", "total"),
    [("8k", 2.8e14), ("128k", 6.5e15), ("1M", 1.70e17), ("3.6M", 1.71e18), ("10M", 1.39e19)],
)
def test_prefill_operations(name: str, total: float) -> None:
    assert prefill_flops(SCOUT, LENGTHS[name]) == close(total)


@pytest.mark.parametrize(("name", "seconds"), [("128k", 8.3), ("1M", 218), ("3.6M", 36.6 * 60), ("10M", 4.94 * 3600)])
def test_prefill_on_one_h200_at_its_full_measured_rate(name: str, seconds: float) -> None:
    machine = replace(MACHINES["1xH200"], flops=780e12, mfu=1.0)
    assert estimate(SCOUT, machine, LENGTHS[name]).prefill_seconds == close(seconds)


@pytest.mark.parametrize(("name", "seconds"), [("128k", 1.63), ("1M", 43), ("3.6M", 7.2 * 60), ("10M", 58.4 * 60)])
def test_prefill_on_eight_h100(name: str, seconds: float) -> None:
    assert estimate(SCOUT, MACHINES["8xH100"], LENGTHS[name]).prefill_seconds == close(seconds)


@pytest.mark.parametrize(
    ("name", "seconds"), [("8k", 23 * 60), ("128k", 9.0 * 3600), ("1M", 9.8 * 86400), ("3.6M", 99 * 86400)]
)
def test_prefill_on_the_laptop_where_the_weights_would_fit(name: str, seconds: float) -> None:
    machine = replace(MACHINES["laptop"], ram_bytes=1e12)
    assert estimate(SCOUT, machine, LENGTHS[name]).prefill_seconds == close(seconds)


@pytest.mark.parametrize(("name", "milliseconds"), [("128k", 5.4), ("1M", 15.9), ("3.6M", 45), ("10M", 124)])
def test_decode_on_one_h200_if_it_held_everything(name: str, milliseconds: float) -> None:
    machine = replace(MACHINES["1xH200"], gpu_bytes=1e12)
    found = estimate(SCOUT, machine, LENGTHS[name]).decode_seconds_per_token
    assert found == close(milliseconds / 1000)


def test_ten_million_tokens_from_disk_take_a_minute_for_each_token() -> None:
    found = estimate(SCOUT, MACHINES["1xH200"], LENGTHS["10M"])
    assert (found.weights_in, found.kv_in) == (Tier.GPU, Tier.DISK)
    assert found.decode_seconds_per_token == close(74)


@pytest.mark.parametrize(
    ("machine", "name", "kv", "places"),
    [
        ("1xH200", "128k", Dtype.BF16, (Tier.GPU, Tier.GPU)),
        ("1xH200", "1M", Dtype.FP8, (Tier.GPU, Tier.RAM)),
        ("8xH200", "10M", Dtype.BF16, (Tier.GPU, Tier.GPU)),
        ("8xH100", "10M", Dtype.BF16, (Tier.GPU, Tier.RAM)),
        ("8xH100", "10M", Dtype.FP8, (Tier.GPU, Tier.GPU)),
        ("workstation", "128k", Dtype.BF16, (Tier.RAM, Tier.GPU)),
        ("workstation", "1M", Dtype.BF16, (Tier.RAM, Tier.DISK)),
        ("laptop", "8k", Dtype.BF16, (Tier.DISK, Tier.RAM)),
    ],
)
def test_where_things_lie(machine: str, name: str, kv: Dtype, places: tuple[Tier, Tier]) -> None:
    found = estimate(SCOUT, MACHINES[machine], LENGTHS[name], kv)
    assert (found.weights_in, found.kv_in) == places
    assert found.fits


def test_int4_weights_leave_one_h200_more_room_for_kv() -> None:
    machine = MACHINES["1xH200"]
    assert estimate(SCOUT, machine, 2_600_000, Dtype.FP8, Dtype.INT4).kv_in is Tier.GPU
    assert estimate(SCOUT, machine, 2_800_000, Dtype.FP8, Dtype.INT4).kv_in is Tier.RAM


def test_what_can_not_be_held_has_no_time() -> None:
    found = estimate(SCOUT, MACHINES["laptop"], LENGTHS["10M"])
    assert found.kv_in is Tier.NOWHERE and not found.fits
    assert found.prefill_seconds is None and found.decode_seconds_per_token is None


def test_a_prompt_past_the_window_does_not_fit() -> None:
    maverick = MODELS["maverick"]
    assert estimate(maverick, MACHINES["8xH200"], maverick.window).fits
    assert not estimate(maverick, MACHINES["8xH200"], maverick.window + 1).fits


def test_weights_outside_the_gpu_are_read_once_for_a_prefill() -> None:
    roomy = MACHINES["1xH200"]
    tight = replace(roomy, gpu_bytes=24e9)
    extra = weight_bytes(SCOUT, Dtype.FP8) / 55e9
    slow = estimate(SCOUT, tight, 131_072).prefill_seconds
    fast = estimate(SCOUT, roomy, 131_072).prefill_seconds
    assert slow is not None and fast is not None
    assert slow - fast == close(extra)


@given(
    st.sampled_from(sorted(MODELS)),
    st.integers(1, 20_000_000),
    st.integers(1, 1_000_000),
    st.sampled_from(list(Dtype)),
)
def test_a_longer_prompt_never_costs_less(name: str, tokens: int, more: int, kv: Dtype) -> None:
    model = MODELS[name]
    for cost in (kv_bytes, kv_read_bytes):
        assert cost(model, tokens, kv) < cost(model, tokens + more, kv)
    assert prefill_flops(model, tokens) < prefill_flops(model, tokens + more)
