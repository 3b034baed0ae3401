"""Written forms that the whole API shares, for code that knows no Django as well."""

import re

FIRST_YEAR, LAST_YEAR = 1900, 2199
_YEAR = "(19|20|21)[0-9]{2}"
DATE = re.compile(rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}")
INSTANT = re.compile(rf"{DATE.pattern}T[0-9:.]{{5,15}}(Z|[+-][0-9]{{2}}:[0-9]{{2}})")
QUANTITY = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
WALL_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
