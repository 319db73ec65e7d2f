"""Pictures of a running console, for the README: `python docs/screenshots.py`.

Needs a running `make demo` and Debian's chromium. Signs in as the demo's admin, whose password
stands in the state folder, and writes docs/images/*.png.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
PAGES = {
    "overview": "/",
    "tiers": "/tiers/",
    "ledger": "/tiers/ledger/?region=eastus&by=pool",
    "handover": "/tiers/handover/",
    "prices": "/tiers/prices/?region=eastus",
    "adoption": "/tiers/adoption/",
    "plans": "/plans/?show=all",
    "regions": "/regions/",
    "arming": "/plans/arming/",
    "frontier": "/tiers/frontier/",
    "demand": "/tiers/demand/?region=eastus",
    "forecast": "/tiers/forecast/?region=eastus",
    "fabric": "/fabric/",
    "reports": "/reports/",
    "sources": "/sources/",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--state", type=Path, default=ROOT.parent / ".state")
    parser.add_argument("--out", type=Path, default=ROOT / "images")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    users = (options.state / "demo-users.txt").read_text().split()
    password = users[users.index("admin") + 1]
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=FLAGS)
        for theme in ("light", "dark"):
            page = sign_in(browser, options.url, password, theme)
            for name, path in PAGES.items():
                take(page, options.url + path, options.out / f"{name}-{theme}.png")
            take_plan(page, options.url, options.out / f"plan-{theme}.png")
            take_rollback(page, options.url, options.out / f"rollback-{theme}.png")
        browser.close()


def sign_in(browser: Browser, url: str, password: str, theme: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 960}, color_scheme=theme)
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    return page


def take(page: Page, url: str, out: Path) -> None:
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    page.screenshot(path=str(out), full_page=True)


def take_plan(page: Page, url: str, out: Path) -> None:
    """The newest plan that was carried out, else the newest of all."""
    for show in ("ended", "running", "all"):
        page.goto(f"{url}/plans/?show={show}")
        links = page.locator("#plan-list tbody a[href*='/plans/']")
        if links.count():
            page.goto(url + (links.first.get_attribute("href") or "/plans/"))
            page.wait_for_timeout(800)
            page.screenshot(path=str(out), full_page=True)
            return


def take_rollback(page: Page, url: str, out: Path) -> None:
    """What taking back the newest plan that may be taken back would do, once a worker looked."""
    page.goto(f"{url}/plans/?show=ended")
    links = [
        a.get_attribute("href") for a in page.locator("#plan-list tbody a[href*='/plans/']").all()
    ]
    for href in dict.fromkeys(links):
        page.goto(f"{url}{href}")
        preview = page.get_by_role("link", name="Preview the rollback")
        if preview.count():
            preview.click()
            page.locator("#way-back tbody strong").first.wait_for(timeout=60_000)
            page.screenshot(path=str(out), full_page=True)
            return


if __name__ == "__main__":
    main()
