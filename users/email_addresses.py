"""The one form in which e-mail addresses are stored, so that no two accounts have similar addresses."""

import unicodedata

import idna
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.translation import gettext_lazy as _

from medtrack.http import expected

MAX_LENGTH = 254
# Controls, formatting characters (zero-width, bidirectional), surrogates, unassigned letters and every space.
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}

_check_form = EmailValidator(message=expected.EMAIL)


def canonical_email(address: str) -> str:
    """Returns the address as it is stored: the domain in lower case and IDNA 2008, the local part unchanged.

    Raises ValidationError, also for invisible characters, and for a local part that is not ASCII: such
    letters can look like others.
    """
    if any(unicodedata.category(letter) in _INVISIBLE for letter in address):
        raise ValidationError(
            _("An e-mail address has no spaces and no invisible characters."), code="invalid"
        )
    local, _at, domain = address.rpartition("@")
    if not local.isascii():
        raise ValidationError(
            _("Before the @, an e-mail address has only the letters a to z, digits and signs."),
            code="invalid",
        )
    if domain.isascii():
        domain = domain.lower()
    else:
        try:
            # UTS 46 applies NFKC and lower case; not transitional, because ß and ss are different domains.
            domain = idna.encode(domain, uts46=True, std3_rules=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise ValidationError(
                _("After the @, an e-mail address has the name of a domain. Example: name@example.com"),
                code="invalid",
            ) from error
    canonical = f"{local}@{domain}"
    _check_form(canonical)
    if len(canonical) > MAX_LENGTH:
        raise ValidationError(
            _("An e-mail address has at most %(most)s characters."),
            code="max_length",
            params={"most": MAX_LENGTH},
        )
    return canonical


def comparable_email(address: str) -> str:
    """Returns the address as it is stored, or unchanged if it could not be stored now: older accounts may
    have it.
    """
    try:
        return canonical_email(address)
    except ValidationError:
        return address
