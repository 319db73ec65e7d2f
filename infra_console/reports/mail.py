"""One report as one mail to one recipient."""

import base64
import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from infra_console.reports.errors import AddressInvalid, HeaderUnsafe
from infra_console.reports.mail_server import header_safe
from infra_console.reports.models import Report
from infra_console.reports.rendering import cid_of

LONGEST_ADDRESS = 254
# Seven bits: no server on the way has to know 8BITMIME.
POLICY = SMTP.clone(cte_type="7bit")
_is_address = EmailValidator(allowlist=["localhost"])


def address(text: str) -> str:
    """A recipient's address, without blanks around it.

    Raises:
        AddressInvalid: it is none, or holds what has no place in a header.
    """
    # Line breaks are refused, not stripped: whoever sent them meant something by it.
    found = text.strip(" ")
    if not (header_safe(found) and found.isascii() and len(found) <= LONGEST_ADDRESS):
        raise AddressInvalid(text)
    try:
        _is_address(found)
    except ValidationError as err:
        raise AddressInvalid(text) from err
    return found


def message_of(report: Report, recipient: str) -> EmailMessage:
    """The mail as it goes out: text, HTML with its pictures inside, CSV beside.

    Raises:
        AddressInvalid, HeaderUnsafe: see each; nothing is sent.
    """
    to, sender = address(recipient), settings.MAIL_FROM
    name = f"{report.kind}-{report.slot:%Y%m%dT%H%MZ}"
    for header, text in (("Subject", report.subject), ("From", sender)):
        if not header_safe(text):
            raise HeaderUnsafe(header)
    message = EmailMessage(policy=POLICY)
    message["Subject"] = report.subject
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Date"] = format_datetime(report.made_at or report.slot)
    # The same for every try, so that a mail that comes twice after all is seen to be one.
    message["Message-ID"] = f"<{name}.{report.pk}.{_digest(to)}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(report.text)
    message.add_alternative(report.html, subtype="html")
    _add_pictures(message, report)
    message.add_attachment(
        report.csv.encode("utf-8-sig"), maintype="text", subtype="csv", filename=f"{name}.csv"
    )
    return message


def _add_pictures(message: EmailMessage, report: Report) -> None:
    html = message.get_body(("html",))
    if not isinstance(html, EmailMessage):
        return
    for name, png in report.pictures.items():
        html.add_related(
            base64.b64decode(png), maintype="image", subtype="png", cid=f"<{cid_of(name)}>",
            filename=f"{name}.png", disposition="inline",
        )  # fmt: skip


def _digest(recipient: str) -> str:
    """Tells recipients apart without naming them."""
    return hashlib.sha256(recipient.lower().encode()).hexdigest()[:12]
