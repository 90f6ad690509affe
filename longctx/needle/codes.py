"""The code of a token: a Reed-Solomon word as 128 channels, so that two tokens are proved to differ in 5 places of 8.

A token's id, in base 32, is a polynomial of degree 3 over GF(32); its values at 8 points are the word (Reed and
Solomon 1960). Two polynomials agree in 3 points at most. Each of the 8 symbols is one channel of 16 with a sign: the
product of two codes is 8 for a token with itself and never more than 3 for two tokens. Random codes of this size
promise nothing: among the 20 thousand million pairs of a vocabulary some would come to 5.

Every token has one opposite, whose id differs by the bit of 16 alone: that turns every sign round, and the product is
-8. Of any two others it is -3 to 3. Words of facts are drawn so that none meets its opposite (`words`).
"""

from functools import cache

import numpy as np
import numpy.typing as npt

PLACES = 8
CHANNELS_PER_PLACE = 16
CODE_CHANNELS = PLACES * CHANNELS_PER_PLACE
MOST_AGREEMENT = 3
FIELD = 2 * CHANNELS_PER_PLACE
OPPOSITE = CHANNELS_PER_PLACE  # the bit in which an id and that of the negative code differ
REDUCTION = 0b100101  # x^5 + x^2 + 1, which is primitive


def codes(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """[n, 128]: of each of the ids below 32^4, its code: 8 channels of 1 or -1, all others 0."""
    symbols_np = _symbols(ids)
    channels_np = symbols_np % CHANNELS_PER_PLACE + CHANNELS_PER_PLACE * np.arange(PLACES)
    signs_np = np.where(symbols_np < CHANNELS_PER_PLACE, np.float32(1), np.float32(-1))
    codes_nc = np.zeros((len(ids), CODE_CHANNELS), np.float32)
    np.put_along_axis(codes_nc, channels_np, signs_np, axis=1)
    return codes_nc


def _symbols(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[n, 8]: the values of each id's polynomial at the points 0 to 7, by Horner's rule."""
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < FIELD**4:
        raise ValueError(f"ids of {int(ids.min())} to {int(ids.max())}, codes are there for 0 to {FIELD**4 - 1}")
    products, points_p = _products(), np.arange(PLACES)
    values_np = np.zeros((len(ids), PLACES), np.int64)
    for power in (3, 2, 1, 0):
        digits_n = ids // FIELD**power % FIELD
        values_np = products[values_np, points_p] ^ digits_n[:, None]
    return values_np


@cache
def _products() -> npt.NDArray[np.int64]:
    """[32, 32]: the multiplication table of GF(32)."""
    left, right = np.meshgrid(np.arange(FIELD), np.arange(FIELD), indexing="ij")
    table = np.zeros((FIELD, FIELD), np.int64)
    for bit in range(5):
        table ^= np.where(right >> bit & 1, left << bit, 0)
    for bit in (8, 7, 6, 5):
        table ^= np.where(table >> bit & 1, REDUCTION << (bit - 5), 0)
    return table
