"""Handing one mail to a mail server, or to a file, and telling what came of it.

What matters is the moment after which a failure is no answer: once the mail's text is on its way,
a broken connection may mean that it was taken. Before that nothing was taken, so it may be tried
again. The steps are our own, because smtplib.sendmail does not tell these two apart.
"""

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from infra_console.embedded.private import write_private
from infra_console.reports.errors import (
    MailDeferred,
    MailProblem,
    MailRefused,
    MailUnclear,
    ServerAway,
)
from infra_console.reports.mail_server import MailServer

GO_AHEAD, TAKEN, WILL_FORWARD = 354, 250, 251
_Broken = (smtplib.SMTPException, OSError)
MOST_WORDS = 300


def post(message: EmailMessage, *, sender: str, recipient: str, server: MailServer) -> None:
    """Hand a mail over; returns only when the server has said that it takes it.

    Raises:
        ServerAway: no session could be had, for whatever reason; nothing was handed over.
        MailDeferred: the server said "not now" (4xx), or went away before the text.
        MailRefused: the server said "never" (5xx).
        MailUnclear: the connection broke after the text had begun.
    """
    with _session(server) as session:
        try:
            _expect(session.mail(sender), {TAKEN})
            _expect(session.rcpt(recipient), {TAKEN, WILL_FORWARD})
            _expect(session.docmd("DATA"), {GO_AHEAD})
        except _Broken as err:
            raise MailDeferred(_words(err)) from err
        try:
            session.send(_on_the_wire(message))
            answer = session.getreply()
        except _Broken as err:
            raise MailUnclear(_words(err)) from err
        _expect(answer, {TAKEN}, MailUnclear)


@contextmanager
def _session(server: MailServer) -> Iterator[smtplib.SMTP]:
    try:
        session = _opened(server)
    except (*_Broken, ValueError) as err:
        raise ServerAway(f"{server.name}: {_words(err)}") from err
    try:
        yield session
    finally:
        _goodbye(session)


def _opened(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.ca_file or None)
    if server.tls == "smtps":
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=server.timeout_s, context=context
        )
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=server.timeout_s)
    try:
        session.ehlo_or_helo_if_needed()
        if server.tls == "smtp+starttls":
            session.starttls(context=context)
            session.ehlo()
        if server.username:
            session.login(server.username, server.password)
    except BaseException:
        session.close()
        raise
    return session


def _goodbye(session: smtplib.SMTP) -> None:
    try:
        session.quit()
    except _Broken:
        session.close()  # what mattered is said already


def _expect(
    answer: tuple[int, bytes], wanted: set[int], otherwise: type[MailProblem] = MailDeferred
) -> None:
    """Go on only with a wanted code; `otherwise` is for what is neither 4xx nor 5xx."""
    code, said = answer
    if code in wanted:
        return
    kinds: dict[int, type[MailProblem]] = {4: MailDeferred, 5: MailRefused}
    raise kinds.get(code // 100, otherwise)(one_line(f"{code} {said.decode(errors='replace')}"))


def _on_the_wire(message: EmailMessage) -> bytes:
    """The text with CRLF, doubled leading dots and the lone dot that ends it (RFC 5321, 4.5.2)."""
    text = re.sub(rb"\r\n|\r|\n", b"\r\n", message.as_bytes())
    text = re.sub(rb"(?m)^\.", b"..", text)
    return text + (b"" if text.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _words(err: Exception) -> str:
    if isinstance(err, smtplib.SMTPResponseException):
        said = err.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return one_line(f"{err.smtp_code} {text}")
    # smtplib says of a silent server that it closed the connection.
    if isinstance(err, TimeoutError) or isinstance(err.__context__, TimeoutError):
        return "it did not answer in time"
    return one_line(str(err) or type(err).__name__)


def one_line(text: str) -> str:
    """A server's words on one line, cut."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:MOST_WORDS]


def write_eml(message: EmailMessage, path: Path) -> None:
    """The mail as a file, readable by its owner alone."""
    write_private(path, message.as_bytes().decode("ascii"))
