import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.document import Document, Kind
from longctx.tokenised import TokenisedDocument
from longctx.tokens import ByteMerges, Tokenizer, from_bytes, packed, suits_merges
from longctx.vocabulary import BEGIN_OF_TEXT, ORDINARY_TOKENS, SPLIT_PATTERN, llama4

TOKENIZER = Tokenizer()
MERGES = ByteMerges(llama4())
PLAIN = tiktoken.Encoding("x", pat_str=SPLIT_PATTERN, mergeable_ranks=llama4().ranks(), special_tokens={})
CODE = "def f(x):\n\n    return {\n// y\n}[::-1]  # 12345 naïve 日本\r\n\t\t'''it's'''\n"
TEXTS = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=" \t\n\r/{}aAbÉ1'\u0e01\u4e00😀", max_size=200),
    st.sampled_from([CODE, CODE * 7]),
)


@given(TEXTS)
def test_both_encoders_give_the_same_ids(text: str) -> None:
    if suits_merges(text):
        assert MERGES.encode(text) == list(TOKENIZER.encode_fast(text))


def test_both_encoders_agree_on_every_character_of_the_basic_plane() -> None:
    differing = [
        hex(point)
        for point in range(1, 0x10000, 3)
        if not 0xD800 <= point < 0xE000
        and (text := f"aB{chr(point)}c {chr(point)}1") is not None
        and MERGES.encode(text) != list(TOKENIZER.encode_fast(text))
    ]
    assert differing == []


@given(TEXTS)
def test_ids_decode_to_the_text(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode_fast(text)) == text


@pytest.mark.parametrize(
    "special", ["<|begin_of_text|>", "<|eot|>", "<|header_start|>", "<|image|>", "<|no special token|>"]
)
def test_the_text_of_a_special_token_is_ordinary_text(special: str) -> None:
    ids = TOKENIZER.encode(f"x {special} y")
    assert len(ids) > 4
    assert max(ids) < ORDINARY_TOKENS == BEGIN_OF_TEXT


def test_a_long_run_is_left_to_the_fast_encoder() -> None:
    assert not suits_merges("a" * 10_000)
    assert len(Tokenizer().encode("a" * 300_000)) > 1000


@settings(max_examples=50)
@given(TEXTS)
def test_stored_ids_come_back(text: str) -> None:
    ids = list(TOKENIZER.encode_fast(text))
    assert list(from_bytes(packed(ids).tobytes())) == ids


@given(TEXTS)
def test_characters_and_tokens_lead_to_each_other(text: str) -> None:
    ids = packed(TOKENIZER.encode_fast(text))
    tokenised = TokenisedDocument(Document(text, Kind.PROSE), ids, TOKENIZER)
    for token in range(len(ids)):
        char = tokenised.char_of(token)
        before = TOKENIZER.decode(ids[:token])
        if char is None:
            assert before.endswith("\ufffd")
        else:
            assert text[:char] == before
            assert tokenised.token_of(char) == token


def test_a_character_inside_a_token_is_no_tokens_start() -> None:
    text = "international"
    ids = packed(TOKENIZER.encode_fast(text))
    assert TokenisedDocument(Document(text, Kind.PROSE), ids, TOKENIZER).token_of(3) is None


@given(TEXTS)
def test_the_ids_are_those_of_the_plain_encoder(text: str) -> None:
    assert list(TOKENIZER.encode_fast(text)) == PLAIN.encode_ordinary(text)
