"""The command line: log, predict, check, export."""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path

from tidewatch import __version__
from tidewatch.alerts import Level, run
from tidewatch.filters import despike, fill_gaps, minute_median
from tidewatch.harmonics import STATIONS, extremes, predict
from tidewatch.readings import Reading, SentenceError, parse_sentence
from tidewatch.serial_port import read_lines
from tidewatch.storage import Minute, Store, epoch_minute, open_store

EXIT_OK = 0
EXIT_NO_READINGS = 2
EXIT_WARNING_STANDS = 3
CHECK_HOURS = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with open_store(options.database) as store:
        command = {"log": log_readings, "predict": print_tides, "check": check, "export": export}
        return command[options.command](options, store)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tidewatch", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--database", type=Path, default=Path("readings.db"))
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("log", "predict", "check", "export"):
        command = commands.add_parser(name)
        command.add_argument("--station", choices=sorted(STATIONS), required=True)
        if name == "log":
            command.add_argument("--port", type=Path, required=True)
        if name in ("predict", "export"):
            command.add_argument("--hours", type=float, default=24)
    return parser


def log_readings(options: argparse.Namespace, store: Store) -> int:
    """Stores one row per minute until the port ends or the user stops the program."""
    readings = _parsed(read_lines(options.port), store)
    mine = (reading for reading in readings if reading.station == options.station)
    for minute, group in groupby(mine, key=lambda reading: epoch_minute(reading.time)):
        levels = [reading.level_mm for reading in group if reading.usable]
        store.add_minutes([Minute(options.station, minute, minute_median(levels), len(levels))])
    return EXIT_OK


def print_tides(options: argparse.Namespace, store: Store) -> int:
    """Prints the coming high and low waters."""
    now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    for extreme in extremes(STATIONS[options.station], now, options.hours):
        kind = "high" if extreme.high else "low "
        print(f"{extreme.time:%a %d %b %H:%M} UTC  {kind}  {extreme.level_mm / 1000:5.2f} m")
    return EXIT_OK


def check(options: argparse.Namespace, store: Store) -> int:
    """Replays the last six hours and says which flag should fly; status 3 when it is a warning or worse."""
    station = STATIONS[options.station]
    now = datetime.now(timezone.utc)
    minutes = list(store.between(options.station, now - timedelta(hours=CHECK_HOURS), now))
    if not minutes:
        print(f"no readings from {station.name} in the last {CHECK_HOURS} hours", file=sys.stderr)
        return EXIT_NO_READINGS
    levels = fill_gaps(despike([minute.level_mm for minute in minutes]))
    pairs = [
        (level, predict(station, minute.time))
        for level, minute in zip(levels, minutes)
        if level is not None
    ]
    state = run(pairs)
    print(f"{station.name}: {state.level.name.lower().replace('_', ' ')}")
    return EXIT_WARNING_STANDS if state.level >= Level.WARNING else EXIT_OK


def export(options: argparse.Namespace, store: Store) -> int:
    """Writes the last hours as CSV: time, measured and predicted level in millimetres."""
    station = STATIONS[options.station]
    now = datetime.now(timezone.utc)
    writer = csv.writer(sys.stdout)
    writer.writerow(["time", "measured_mm", "predicted_mm"])
    for minute in store.between(options.station, now - timedelta(hours=options.hours), now):
        measured = "" if minute.level_mm is None else minute.level_mm
        writer.writerow([minute.time.isoformat(), measured, round(predict(station, minute.time))])
    return EXIT_OK


def _parsed(lines: Iterator[str], store: Store) -> Iterator[Reading]:
    for line in lines:
        try:
            yield parse_sentence(line)
        except SentenceError as error:
            store.add_rejected(line, str(error), datetime.now(timezone.utc))


if __name__ == "__main__":
    sys.exit(main())
