"""What stands in a mail is harmless, and the preview is the mail."""

import base64
import csv
import io

import pytest

from infra_console.reports.errors import AddressInvalid, HeaderUnsafe
from infra_console.reports.mail import address, message_of
from infra_console.reports.mail_server import mail_server_of
from infra_console.reports.making import make
from infra_console.reports.models import Report
from infra_console.reports.posting import _on_the_wire
from infra_console.reports.rendering import harmless, with_data_uris
from tests.infra_console.reports.conftest import HOSTILE, SLOT, report_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def report() -> Report:
    row = report_row()
    make(row.id, now=SLOT)
    row.refresh_from_db()
    return row


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com\nBcc: b@example.com", "a@example.com\r\nBcc: b@example.com", "a@b\x00c.com",
        "A <a@example.com>", "a@example.com, b@example.com", "a@example.com\u2028x", "", "a",
        "ä@example.com", "x" * 250 + "@example.com",
    ],
)  # fmt: skip
def test_what_is_not_one_plain_address_is_refused(report, text):
    with pytest.raises(AddressInvalid):
        address(text)
    with pytest.raises(AddressInvalid):
        message_of(report, text)


def test_a_line_break_in_a_subject_is_refused(report):
    report.subject = "Report\r\nBcc: b@example.com"
    with pytest.raises(HeaderUnsafe, match="Subject"):
        message_of(report, "a@example.com")


def test_names_are_escaped_in_html_and_plain_in_text(report):
    assert "<script" not in report.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;" in report.html
    assert HOSTILE in report.text


def test_unknown_is_said_and_never_zero(report):
    assert ">unknown</td>" in report.html
    row = next(line for line in report.text.splitlines() if "calc" in line)
    assert row.split()[-2:] == ["unknown", "8"]
    assert "0.0 %" not in report.html


def test_no_cell_of_the_csv_is_a_formula_and_numbers_stay_numbers(report):
    rows = list(csv.reader(io.StringIO(report.csv)))
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r\n"))]
    values = [row[-1] for row in rows]
    assert "'=cmd|'/c calc'!A1" in values
    assert {row[3] for row in rows} >= {"'=Node"}
    assert {"0.8125", "", "8"} <= set(values)
    assert [harmless(v) for v in (" =1", "\t=1", -3, -0.5, "a=b")] == [
        "' =1",
        "'\t=1",
        -3,
        -0.5,
        "a=b",
    ]


def test_the_preview_is_the_mail_but_for_its_pictures(client, report):
    from tests.people import person

    png = base64.b64encode(b"\x89PNG").decode()
    html = report.html + '<img src="cid:busy@infra-console">'
    Report.objects.filter(id=report.id).update(html=html, pictures={"busy": png})
    report.refresh_from_db()
    client.force_login(person("viewer"))
    preview = client.get(f"/reports/{report.id}/mail").content.decode()
    mail = message_of(report, "a@example.com")
    mailed = mail.get_body(("html",)).get_content()
    assert preview == with_data_uris(html, report.pictures)
    assert preview.replace(f"data:image/png;base64,{png}", "cid:busy@infra-console") == html
    assert mailed.replace("\r\n", "\n").rstrip("\n") == html.rstrip("\n")
    picture = next(p for p in mail.walk() if p.get_content_type() == "image/png")
    assert (picture["Content-ID"], picture.get_content()) == ("<busy@infra-console>", b"\x89PNG")


def test_a_line_of_one_dot_does_not_end_the_mail(report):
    report.text = "before\n.\nQUIT\n"
    wire = _on_the_wire(message_of(report, "a@example.com"))
    assert b"\r\n..\r\nQUIT" in wire
    assert wire.count(b"\r\n.\r\n") == 1
    assert wire.endswith(b"\r\n.\r\n")


def test_a_mail_server_is_read_from_its_address_and_never_shows_its_password():
    found = mail_server_of("smtp+starttls://me:s%40cret@mail.example:2525")
    assert found is not None
    assert (found.host, found.port, found.password) == ("mail.example", 2525, "s@cret")
    assert "s@cret" not in repr(found)
    assert mail_server_of("") is None


@pytest.mark.parametrize(
    "url", ["mail.example", "http://mail.example", "smtp://", "smtp://me:s3cret@mail.example"]
)
def test_an_address_that_leads_nowhere_or_leaks_a_password_is_refused(url):
    with pytest.raises(ValueError) as caught:
        mail_server_of(url)
    assert "s3cret" not in str(caught.value)
