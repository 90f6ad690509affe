from tidewatch.alerts import CALM_MINUTES, AlertState, Level, run, step


def test_raising_is_immediate():
    assert step(AlertState(), 5000, 4000).level is Level.WARNING
    assert step(AlertState(), 7250, 7200).level is Level.CLOSE_GATES


def test_lowering_takes_a_calm_hour():
    state = AlertState(Level.WARNING)
    state = run([(4000, 4000)] * (CALM_MINUTES - 1), state)
    assert state.level is Level.WARNING
    assert step(state, 4000, 4000).level is Level.NONE


def test_a_surge_just_below_the_mark_keeps_the_flag():
    state = run([(4850, 4000)] * 600, AlertState(Level.WARNING))
    assert state == AlertState(Level.WARNING)


def test_the_hour_starts_again_after_a_relapse():
    state = run([(4000, 4000)] * 50 + [(4850, 4000)] + [(4000, 4000)] * 50, AlertState(Level.WARNING))
    assert state.level is Level.WARNING
