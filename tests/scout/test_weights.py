import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from longctx.scout.config import ScoutConfig, read_config
from longctx.scout.errors import CheckpointError
from longctx.scout.product import product
from longctx.scout.weights import Mixture, Mlp, Weights, file_states, fingerprint, load_weights

CPU = torch.device("cpu")
FOLDERS = ["scout", "maverick", "scout_bf16", "scout_fp16", "scout_per_expert", "scout_sharded", "scout_multimodal"]


def load(folder: Path, dtype: torch.dtype = torch.float32, repack: bool | None = None) -> Weights:
    return load_weights(folder, read_config(folder), dtype, CPU, repack)


def named(weights: Weights) -> dict[str, torch.Tensor]:
    """Every tensor under the name that transformers gives it, experts fused as there."""
    tensors = {
        "lm_head.weight": rows(weights.head),
        "model.embed_tokens.weight": weights.embedding,
        "model.norm.weight": weights.norm,
    }
    for index, layer in enumerate(weights.layers):
        prefix = f"model.layers.{index}."
        tensors[f"{prefix}input_layernorm.weight"] = layer.attention_norm
        tensors[f"{prefix}post_attention_layernorm.weight"] = layer.feed_forward_norm
        parts = [*rows(layer.attention.joined).split([64, 32, 32]), rows(layer.attention.output)]
        for short, tensor in zip("qkvo", parts, strict=True):
            tensors[f"{prefix}self_attn.{short}_proj.weight"] = tensor
        tensors.update(named_feed_forward(f"{prefix}feed_forward", layer.feed_forward))
    return tensors


def named_feed_forward(prefix: str, feed_forward: Mixture | Mlp) -> dict[str, torch.Tensor]:
    if isinstance(feed_forward, Mlp):
        parts = zip(("gate", "up", "down"), vars_of(feed_forward), strict=True)
        return {f"{prefix}.{name}_proj.weight": rows(tensor) for name, tensor in parts}
    experts = feed_forward.experts
    return {
        f"{prefix}.router.weight": rows(feed_forward.router),
        f"{prefix}.experts.gate_up_proj": torch.stack([torch.cat((rows(e.gate), rows(e.up))).T for e in experts]),
        f"{prefix}.experts.down_proj": torch.stack([rows(e.down).T for e in experts]),
        **named_feed_forward(f"{prefix}.shared_expert", feed_forward.shared),
    }


def rows(weight: torch.Tensor) -> torch.Tensor:
    """The numbers of a weight [out, in], packed or not: what the rows of the identity become."""
    if not weight.is_mkldnn:
        return weight
    return product(torch.eye(weight.shape[1], dtype=torch.bfloat16), weight).T


def vars_of(value: Any) -> list[torch.Tensor]:
    return [getattr(value, name) for name in value.__slots__]


def all_mlps(weights: Weights) -> list[Mlp]:
    found: list[Mlp] = []
    for layer in weights.layers:
        inner = layer.feed_forward
        found += [inner] if isinstance(inner, Mlp) else [*inner.experts, inner.shared]
    return found


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Rewrite the tensors of a copied checkpoint."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    edit(tensors)
    save_file(tensors, path)
    return folder


@pytest.fixture
def folder(scout: Path, tmp_path: Path) -> Path:
    """A scout of the test's own, to break."""
    return copy_of(scout, tmp_path / "scout")


@pytest.mark.parametrize("repack", [None, False, True])
@pytest.mark.parametrize("name", ["scout", "maverick"])
def test_every_tensor_is_the_one_that_transformers_loads(
    name: str, repack: bool | None, request: pytest.FixtureRequest, reference: Callable[[Path], Any]
) -> None:
    folder = request.getfixturevalue(name)
    ours, theirs = named(load(folder, repack=repack)), dict(reference(folder).named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", ["scout_per_expert", "scout_sharded", "scout_multimodal"])
@pytest.mark.parametrize("repack", [False, True])
def test_layouts_and_names_make_no_difference(
    name: str, repack: bool, scout: Path, request: pytest.FixtureRequest
) -> None:
    plain, other = named(load(scout)), named(load(request.getfixturevalue(name), repack=repack))
    assert plain.keys() == other.keys()
    assert all(torch.equal(plain[key], other[key]) for key in plain)


@pytest.mark.parametrize(
    ("tower", "head"),
    [
        ("model.language_model.", ""),
        ("model.language_model.model.", "model.language_model."),
        ("language_model.model.", "language_model."),
    ],
)
def test_every_prefix_in_use_is_read(folder: Path, scout: Path, tower: str, head: str) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            new = f"{head}{name}" if name == "lm_head.weight" else f"{tower}{name.removeprefix('model.')}"
            tensors[new] = tensors.pop(name)

    change(folder, rename)
    ours, plain = named(load(folder)), named(load(scout))
    assert all(torch.equal(ours[key], plain[key]) for key in plain)


def test_the_fixtures_are_as_different_as_they_say(request: pytest.FixtureRequest) -> None:
    files = {name: sorted(path.name for path in request.getfixturevalue(name).iterdir()) for name in FOLDERS}
    assert "model.safetensors.index.json" in files["scout_sharded"]
    assert sum(name.endswith(".safetensors") for name in files["scout_sharded"]) > 2
    keys = {name: set(load_file(request.getfixturevalue(name) / "model.safetensors")) for name in FOLDERS[:5]}
    assert "model.layers.0.feed_forward.experts.3.up_proj.weight" in keys["scout_per_expert"]
    assert "model.layers.0.feed_forward.up_proj.weight" in keys["maverick"]
    multimodal = load_file(request.getfixturevalue("scout_multimodal") / "model.safetensors")
    assert "language_model.lm_head.weight" in multimodal
    assert any(name.startswith("vision_model.") for name in multimodal)


@pytest.mark.parametrize(("name", "stored"), [("scout_bf16", torch.bfloat16), ("scout_fp16", torch.float16)])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_come_as_the_type_that_is_asked_for(
    name: str, stored: torch.dtype, wanted: torch.dtype, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    weights, plain = named(load(folder, wanted)), load_file(folder / "model.safetensors")
    for key, tensor in plain.items():
        assert tensor.dtype == stored
        assert torch.equal(weights[key], tensor.to(wanted))


def test_what_is_stored_as_wanted_stays_in_the_file(scout: Path) -> None:
    weights = load(scout, repack=False)
    mapped = range(weights.embedding.untyped_storage().data_ptr(), 1 << 62)[
        : weights.embedding.untyped_storage().nbytes()
    ]
    assert len(mapped) == (scout / "model.safetensors").stat().st_size
    views = [tensor for mlp in all_mlps(weights) for tensor in vars_of(mlp)] + [weights.layers[3].attention.output]
    assert all(tensor.data_ptr() in mapped for tensor in views)


def test_writing_to_a_mapped_weight_never_reaches_the_file(folder: Path) -> None:
    before = (folder / "model.safetensors").read_bytes()
    load(folder, repack=False).embedding.fill_(7.0)
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["scout", "maverick", "scout_per_expert"])
def test_repacked_matrices_lie_row_by_row_with_gate_and_up_joined(name: str, request: pytest.FixtureRequest) -> None:
    for mlp in all_mlps(load(request.getfixturevalue(name), repack=True)):
        assert mlp.gate.is_contiguous() and mlp.up.is_contiguous() and mlp.down.is_contiguous()
        assert mlp.joined is not None
        assert mlp.joined.is_contiguous()


def test_joined_is_gate_above_up_or_nothing(scout: Path) -> None:
    for repack in (False, True):
        for mlp in all_mlps(load(scout, repack=repack)):
            assert mlp.joined is not None
            assert torch.equal(mlp.joined, torch.cat((mlp.gate, mlp.up)))
            assert mlp.joined.data_ptr() == mlp.gate.data_ptr()
    gate, up, down = torch.rand(3, 2), torch.rand(3, 2), torch.rand(2, 3)
    both = torch.rand(7, 2)
    assert Mlp(gate, up, down).joined is None
    assert Mlp(both[3:6], both[:3], down).joined is None
    assert Mlp(both[:3], both[4:], down).joined is None
    assert Mlp(both[:2], both.as_strided((2, 2), (1, 2), 4), down).joined is None


def test_a_conversion_joins_as_it_copies_anyway(scout_bf16: Path) -> None:
    assert all(mlp.joined is not None for mlp in all_mlps(load(scout_bf16, torch.float32)))
    assert all(mlp.gate.is_contiguous() for mlp in all_mlps(load(scout_bf16, torch.float32)))


def test_a_tied_head_is_the_embedding(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("tied", tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    weights = load(folder)
    assert weights.head is weights.embedding


def test_a_missing_tensor_is_named(folder: Path) -> None:
    change(
        folder, lambda tensors: [tensors.pop(f"model.layers.{i}.self_attn.q_proj.weight") for i in range(5)] and None
    )
    with pytest.raises(
        CheckpointError, match=r'5 tensors are missing: "layers\.0\.self_attn\.q_proj\.weight", .*, \.\.\.$'
    ):
        load(folder)


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    change(folder, lambda tensors: tensors.update({"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)}))
    with pytest.raises(CheckpointError, match=r'1 tensor is not known: "model\.layers\.0\.self_attn\.q_proj\.bias"$'):
        load(folder)


def test_a_wrong_shape_is_named(folder: Path) -> None:
    change(folder, lambda tensors: tensors.update({"model.norm.weight": torch.zeros(65)}))
    with pytest.raises(CheckpointError, match=r'"model\.norm\.weight" is \[65\]; config\.json makes it \[64\]'):
        load(folder)


@pytest.mark.parametrize(
    ("dtype", "name"), [(torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3"), (torch.float64, "F64")]
)
def test_a_type_that_is_not_computed_with_is_refused(folder: Path, dtype: torch.dtype, name: str) -> None:
    change(folder, lambda tensors: tensors.update({"model.norm.weight": torch.zeros(64).to(dtype)}))
    with pytest.raises(CheckpointError, match=f'"model.norm.weight" is "{name}".*not quantized'):
        load(folder)


def test_two_names_of_one_tensor_are_refused(folder: Path) -> None:
    change(folder, lambda tensors: tensors.update({"language_model.model.norm.weight": torch.zeros(64)}))
    with pytest.raises(CheckpointError, match="are the same tensor"):
        load(folder)


def test_more_than_is_free_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longctx.scout.weights.free_bytes", lambda device: 1000)
    assert all(not mlp.down.is_contiguous() for mlp in load(folder).layers[0].feed_forward.experts)  # type: ignore[union-attr]
    for dtype, repack in ((torch.bfloat16, None), (torch.float32, True)):
        with pytest.raises(
            CheckpointError, match=r"the weights need 0\.0 GB as .*float.* on cpu, where 0\.0 GB are free"
        ):
            load(folder, dtype, repack)


def test_pickled_weights_are_refused_by_name(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"pickled weights \(\"pytorch_model\.bin\"\).*convert them to safetensors"
    ):
        load(folder)


def test_a_folder_without_weights_says_so(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no \*\.safetensors file"):
        load(folder)


def test_files_without_an_index_are_all_read(scout_sharded: Path, scout: Path, tmp_path: Path) -> None:
    folder = copy_of(scout_sharded, tmp_path / "loose")
    (folder / "model.safetensors.index.json").unlink()
    assert torch.equal(load(folder).layers[7].attention.output, load(scout).layers[7].attention.output)


def test_a_shard_that_is_not_there_is_named(scout_sharded: Path, tmp_path: Path) -> None:
    folder = copy_of(scout_sharded, tmp_path / "short")
    missing = sorted(folder.glob("*.safetensors"))[1]
    missing.unlink()
    with pytest.raises(CheckpointError, match=f"{missing.name}: not found, though .* names it"):
        load(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../x.safetensors",
        "/x.safetensors",
        "a/b.safetensors",
        "x.bin",
        "",
        "\0.safetensors",
        f"{'a' * 300}.safetensors",
        "\x1b.safetensors",
        "\ud800.safetensors",
    ],
)
def test_an_index_that_leads_out_of_the_folder_is_refused(scout_sharded: Path, tmp_path: Path, name: str) -> None:
    folder = copy_of(scout_sharded, tmp_path / "inner")
    (tmp_path / "x.safetensors").write_bytes(b"")
    index = folder / "model.safetensors.index.json"
    read = json.loads(index.read_text())
    read["weight_map"]["lm_head.weight"] = name
    index.write_text(json.dumps(read))
    with pytest.raises(CheckpointError, match="is not the name of a safetensors file beside it"):
        load(folder)


@pytest.mark.parametrize("index", ["[]", "{", '{"weight_map": []}', '{"weight_map": {"a": 3}}', "[" * 100_000])
def test_a_broken_index_is_refused(scout_sharded: Path, tmp_path: Path, index: str) -> None:
    folder = copy_of(scout_sharded, tmp_path / "inner")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=r"index\.json"):
        load(folder)


def test_an_index_that_contradicts_its_files_is_refused(scout_sharded: Path, tmp_path: Path) -> None:
    folder = copy_of(scout_sharded, tmp_path / "inner")
    index = folder / "model.safetensors.index.json"
    read = json.loads(index.read_text())
    files = sorted(set(read["weight_map"].values()))
    wrong = files[0] if read["weight_map"]["model.norm.weight"] != files[0] else files[1]
    read["weight_map"]["model.norm.weight"] = wrong
    index.write_text(json.dumps(read))
    with pytest.raises(CheckpointError, match=f'says that tensor "model.norm.weight" is in {wrong}'):
        load(folder)


def test_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    save_file({"model.norm.weight": torch.ones(64)}, folder / "other.safetensors")
    (folder / "model.safetensors").rename(folder / "first.safetensors")
    with pytest.raises(CheckpointError, match=r'tensor "model\.norm\.weight" is in more than one file'):
        load(folder)


def header(said: object, body: bytes = b"") -> bytes:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(start: object = 0, stop: object = 4, dtype: object = "F32", shape: object = (1,)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "header would have 0 bytes"),
        (b"\x01\0\0", "cut off"),
        ((1 << 62).to_bytes(8, "little") + b"{}", "header would have 4611686018427387904 bytes"),
        ((200 << 20).to_bytes(8, "little") + b"{}", "header would have"),
        (b"\x80\x02}q\x00X" + b"pickle" * 9, "header would have"),
        (header(b"{"), "not JSON"),
        (header(b"[" * 200_000), "not JSON"),
        (header(b"\xff\xfe"), "not JSON"),
        (header(b"[]"), "not a JSON object"),
        (header(b'{"a": {"dtype": "F32"}, "a": {}}'), "twice"),
        (header({"a": entry(0, 4)}), "cut off: tensor .* ends at byte"),
        (header({"a": entry(0, 1 << 70, shape=[1 << 68])}), "cut off"),
        (header({"a": entry(0, int("9" * 4300))}, b"1234"), "can't be"),
        (header({"a": entry(0, 4, shape=[int("9" * 4300)])}, b"1234"), "can't be"),
        (header({"a": entry(4, 0)}, b"1234"), "can't be"),
        (header({"a": entry(-4, 0)}, b"1234"), "can't be"),
        (header({"a": entry(0, 4, shape=[-1])}, b"1234"), "can't be"),
        (header({"a": entry(0, 4, shape=[1.0])}, b"1234"), "can't be"),
        (header({"a": entry(0, 4, shape=[1] * 5000)}, b"1234"), "can't be"),
        (header({"a": entry(0, 4, dtype=3)}, b"1234"), "can't be"),
        (header({"a": {**entry(0, 4), "more": 1}}, b"1234"), "can't be"),
        (header({"a": {"dtype": "F32", "shape": [1]}}, b"1234"), "can't be"),
        (header({"a": 3}, b"1234"), "can't be"),
        (header({"a": entry(0, 4, shape=[2])}, b"1234"), "has 4 bytes"),
        (header({"a": entry(0, 4), "b": entry(0, 4)}, b"1234"), "overlaps"),
        (header({"a": entry(0, 4), "b": entry(2, 6)}, b"123456"), "overlaps"),
        (header({"a": entry(4, 8)}, b"12345678"), "follows a gap"),
        (header({"a": entry(0, 4)}, b"12345678"), "4 bytes follow the last tensor"),
    ],
)
def test_a_file_that_lies_is_refused(folder: Path, raw: bytes, said: str) -> None:
    (folder / "model.safetensors").write_bytes(raw)
    with pytest.raises(CheckpointError, match=said) as caught:
        load(folder)
    assert str(folder / "model.safetensors") in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_header_too_long_to_be_one_is_not_read(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes((33 << 20).to_bytes(8, "little"))
    os.truncate(path, 300 << 20)  # a hole, which takes no disk
    with pytest.raises(CheckpointError, match="its header would have 34603008 bytes"):
        load(folder)


@pytest.mark.parametrize("kept", [0.001, 0.5, 0.999])
def test_a_download_that_stopped_is_refused(folder: Path, kept: float) -> None:
    path = folder / "model.safetensors"
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(CheckpointError, match="cut off"):
        load(folder)


def test_a_file_that_is_not_aligned_reads_the_same(folder: Path, scout: Path) -> None:
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + length].rstrip()
    text += b" " * (1 - (8 + len(text)) % 2)  # an odd beginning
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    ours, plain = named(load(folder)), named(load(scout))
    assert all(torch.equal(ours[key], plain[key]) for key in plain)


def test_a_fingerprint_is_of_content_and_configuration(scout: Path, scout_bf16: Path, tmp_path: Path) -> None:
    config = read_config(scout)
    first = fingerprint(scout, config)
    assert first == fingerprint(copy_of(scout, tmp_path / "elsewhere"), config)
    assert first != fingerprint(scout_bf16, config)
    assert first != fingerprint(scout, replaced(config, chunk=64))


def replaced(config: ScoutConfig, **changes: Any) -> ScoutConfig:
    return ScoutConfig(**{**{name: getattr(config, name) for name in config.__slots__}, **changes})


def test_one_flipped_bit_changes_the_fingerprint(folder: Path) -> None:
    config, path = read_config(folder), folder / "model.safetensors"
    first, raw = fingerprint(folder, config), bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert fingerprint(folder, config) != first


def test_a_file_that_changes_while_it_is_read_has_no_fingerprint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_and_change(path: Path) -> str:
        os.utime(path, ns=(1, 1))
        return "0"

    memo = Notes()
    monkeypatch.setattr("longctx.scout.weights._read_digest", read_and_change)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        fingerprint(folder, read_config(folder), memo)
    assert memo.known == {}


def test_files_that_are_replaced_after_they_were_loaded_have_no_fingerprint(folder: Path, maverick: Path) -> None:
    config, memo = read_config(folder), Notes()
    fingerprint(folder, config, memo, loaded=file_states(folder))
    states = file_states(folder)
    shutil.copy(maverick / "model.safetensors", folder / "new")
    (folder / "new").replace(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="changed while it was read"):
        fingerprint(folder, config, memo, loaded=states)


def test_millions_of_missing_tensors_are_counted_not_named(folder: Path) -> None:
    config = replaced(read_config(folder), layers=1024, experts=4096, moe_layers=(True,) * 1024)
    path = folder / "model.safetensors"
    path.write_bytes(header({"norm.weight": entry()}, b"1234"))
    with pytest.raises(CheckpointError, match="4,195,328 tensors or more, the files have 1"):
        load_weights(folder, config, torch.float32, torch.device("cpu"))


class Notes:
    """A memo in memory."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def digest(self, identity: str) -> str | None:
        return self.known.get(identity)

    def remember(self, identity: str, digest: str) -> None:
        self.known[identity] = digest


def test_a_remembered_file_is_not_read_again_until_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, path = read_config(folder), folder / "model.safetensors"
    memo = Notes()
    first = fingerprint(folder, config, memo)
    assert len(memo.known) == 1
    assert str(path) in next(iter(memo.known))
    monkeypatch.setattr("longctx.scout.weights._read_digest", lambda path: hashlib.md5(b"other").hexdigest())
    assert fingerprint(folder, config, memo) == first
    os.utime(path, ns=(1, 1))
    assert fingerprint(folder, config, memo) != first
    assert len(memo.known) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["scout", "maverick", "scout_per_expert"])
def test_weights_on_a_gpu_are_the_same(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    weights = load_weights(folder, read_config(folder), torch.float32, torch.device("cuda"))
    ours, plain = named(weights), named(load(folder))
    assert all(ours[key].is_cuda and torch.equal(ours[key].cpu(), plain[key]) for key in plain)
    assert all(mlp.joined is not None for mlp in all_mlps(weights))
