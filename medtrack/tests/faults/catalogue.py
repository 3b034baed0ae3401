"""All faults, in the order in which they are told."""

from medtrack.tests.faults import answers, deaths, neighbours, rows, services
from medtrack.tests.faults.registry import FAULTS

__all__ = ["FAULTS", "answers", "deaths", "neighbours", "rows", "services"]
