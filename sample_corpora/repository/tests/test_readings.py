from datetime import datetime, timezone

import pytest

from tidewatch.readings import Reading, SentenceError, Status, checksum, format_sentence, parse_sentence

READING = Reading("SALT", datetime(2025, 3, 14, 6, tzinfo=timezone.utc), 4127, 8.1, Status.ACQUIRED)


def test_a_sentence_survives_the_round_trip():
    assert parse_sentence(format_sentence(READING)) == READING


@pytest.mark.parametrize("position", range(1, 40, 3))
def test_a_damaged_character_is_noticed(position):
    sentence = format_sentence(READING)
    damaged = sentence[:position] + chr(ord(sentence[position]) ^ 1) + sentence[position + 1 :]
    with pytest.raises(SentenceError):
        parse_sentence(damaged)


def test_an_unknown_sentence_is_refused_by_name():
    body = "WIND,SALT,240,17"
    with pytest.raises(SentenceError, match="unknown sentence 'WIND'"):
        parse_sentence(f"${body}*{checksum(body):02X}")


def test_a_void_reading_is_not_usable():
    void = Reading("SALT", READING.time, 4127, 8.1, Status.VOID)
    assert READING.usable and not void.usable
