"""The time zones a person can live in: those of the IANA database, without the ones that mean no place."""

from zoneinfo import available_timezones

ZONES = frozenset(available_timezones()) - {"localtime", "Factory"}
