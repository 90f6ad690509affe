from tidewatch.filters import despike, fill_gaps, low_pass, minute_median


def test_three_readings_make_no_median():
    assert minute_median([4100, 4101, 4102]) is None
    assert minute_median([4100, 4101, 4102, 4103]) == 4102


def test_a_single_spike_is_removed_and_a_step_is_kept():
    assert despike([4000, 4010, 4900, 4030, 4040]) == [4000, 4010, None, 4030, 4040]
    assert despike([4000, 4010, 4900, 4910, 4920]) == [4000, 4010, 4900, 4910, 4920]


def test_short_gaps_are_filled_and_long_ones_stay():
    assert fill_gaps([100, None, None, 160]) == [100, 120, 140, 160]
    assert fill_gaps([100, None, None, 160], longest=1) == [100, None, None, 160]
    assert fill_gaps([None, 100, None]) == [None, 100, None]


def test_the_mean_needs_more_than_half_of_its_window():
    assert low_pass([10, 20, 30], half_width=1) == [15, 20, 25]
    assert low_pass([None, 20, None], half_width=1) == [None, None, None]
