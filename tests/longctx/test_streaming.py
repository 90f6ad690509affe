"""Text from ids as they come: nothing lost, nothing early, nothing that is not text."""

from hypothesis import given
from hypothesis import strategies as st

from longctx.streaming import TextStream
from longctx.tokens import Tokenizer
from longctx.vocabulary import BEGIN_OF_TEXT, END_OF_TURN, VOCABULARY_TOKENS, llama4

VOCABULARY = llama4()
TOKENIZER = Tokenizer(VOCABULARY)
TOKENIZER.encode_fast("")  # loaded before an example's time is taken
TOKENS = VOCABULARY.tokens
FEW_BYTES = [n for n, token in enumerate(TOKENS) if len(token) == 1 or (n < 20_000 and not token.isascii())]


def deltas(ids: list[int]) -> list[str]:
    running = TextStream(VOCABULARY)
    return [*(running.feed(each) for each in ids), running.finish()]


@given(st.text(max_size=200))
def test_deltas_are_the_text_that_was_encoded(text: str) -> None:
    ids = list(TOKENIZER.encode_fast(text))
    assert "".join(deltas(ids)) == TOKENIZER.decode(ids) == text


@given(st.text(min_size=1, max_size=60))
def test_whatever_was_given_is_certain(text: str) -> None:
    """Every delta but the last is text of the prompt: no half of a character was shown as U+FFFD."""
    given_so_far = ""
    for delta in deltas(list(TOKENIZER.encode_fast(text))):
        given_so_far += delta
        assert text.startswith(given_so_far)


@given(st.lists(st.sampled_from(FEW_BYTES) | st.integers(0, len(TOKENS) - 1), max_size=40))
def test_random_ids_are_what_decoding_all_their_bytes_gives(ids: list[int]) -> None:
    whole = b"".join(TOKENS[each] for each in ids).decode(errors="replace")
    assert "".join(deltas(ids)) == whole


def test_a_character_appears_with_its_last_byte() -> None:
    by_bytes = {token: n for n, token in enumerate(TOKENS)}
    ids = [by_bytes[bytes([byte])] for byte in "😀".encode()]
    assert deltas(ids) == ["", "", "", "😀", ""]
    assert deltas(ids[:2]) == ["", "", "\ufffd"]
    assert deltas([ids[0], by_bytes[b"a"]]) == ["", "\ufffda", ""]


@given(st.lists(st.integers(BEGIN_OF_TEXT, VOCABULARY_TOKENS + 10) | st.just(-1), max_size=10))
def test_special_ids_are_never_shown(ids: list[int]) -> None:
    assert set(deltas([*ids, END_OF_TURN])) == {""}
