"""The loop as people live it: propose, be refused, approve, watch it move real capacity.

One whole demo runs for the module: real PostgreSQL, Valkey, Prometheus, workers and twin.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config
from playwright.sync_api import Browser, Page, expect, sync_playwright

from infra_console.embedded.loopback import free_port
from tests.browser.demo import Demo, start_demo

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-first-run", "--disable-quic"]  # fmt: skip
NO_BROWSER = "no chromium on this machine: apt-get install chromium"
TIME_FACTOR = "60"
# A week and a day: as far as a forecast compares with. More would be written, read and trained on.
HISTORY_DAYS = "8"
HREFS = "links => links.map(link => link.getAttribute('href'))"
PLAN = re.compile(r"/plans/[0-9a-f]{8}-[0-9a-f-]{27}/")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_BROWSER),
]


@pytest.fixture(scope="module")
def demo(prometheus_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "state"
    words = ("--time-factor", TIME_FACTOR, "--history-days", HISTORY_DAYS)
    running = start_demo(folder, free_port(), *words)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def sign_in(demo: Demo, browser: Browser) -> Iterator[Callable[[str], Page]]:
    """A signed-in page of a role; afterwards: nothing foreign was asked, no rule was broken."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def enter(role: str) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if "Content Security Policy" in message.text
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{demo.url}/login")
        page.get_by_label("Name").fill(role)
        page.get_by_label("Password").fill(demo.passwords[role])
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(re.compile(r"/$"))
        return page

    yield enter
    for context in contexts:
        context.close()
    ours = urlsplit(demo.url).netloc
    foreign = [url for url in asked if urlsplit(url).scheme not in {"data", "blob"}
               and urlsplit(url).netloc != ours]  # fmt: skip
    assert foreign == []
    assert complaints == []


def wait_for(
    what: str, check: Callable[[], object], seconds: float = 120, every_s: float = 1
) -> object:
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if found := check():
            return found
        time.sleep(every_s)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


def node_plan(demo: Demo, *, state: str = "proposed") -> dict | None:
    """The open plan that moves most nodes, if there is one."""
    rows = demo.query(
        "SELECT id::text, title, document FROM plans_plan"
        " WHERE state = %s AND strpos(title, '→') > 0 ORDER BY number DESC LIMIT 4",
        state,
    )
    plans = [dict(zip(("id", "title", "document"), row, strict=True)) for row in rows]
    return max(plans, key=lambda p: len(p["document"]["steps"]), default=None)


def test_a_plan_is_refused_to_its_author_approved_by_another_and_moves_capacity(demo, sign_in):
    planner = sign_in("planner")
    planner.goto(f"{demo.url}/tiers/")
    # The first cycle comes by itself once metrics are live; only then the planner asks for one.
    wait_for("the console's own first cycle", lambda: cycles_done(demo, "system:cycle"), 240)
    planner.get_by_role("button", name=re.compile("Run a cycle")).click()
    wait_for("the planner's cycle", lambda: cycles_done(demo, "planner"), 240)
    plan = wait_for("a plan that moves a node", lambda: node_plan(demo))
    planner.goto(f"{demo.url}/plans/{plan['id']}/")
    approve = planner.get_by_role("button", name="Approve")
    expect(approve).to_be_disabled()
    expect(planner.locator("#decision")).to_contain_text("plan.approve")

    watching = sign_in("viewer")
    (tier, after), *_ = promised_gpus(plan)
    watching.goto(f"{demo.url}/tiers/?region={plan['title'].partition(':')[0]}")
    section = watching.locator(f"#tier-{tier}")
    expect(section).not_to_contain_text(f"{after} of {after}")

    approver = sign_in("approver")
    given = approvals_before_the_last(demo, plan)
    approver.goto(f"{demo.url}/plans/{plan['id']}/")
    approve_on(approver, "too early")
    expect(approver.locator("#decision [data-countdown-s]")).to_contain_text(re.compile(r"\d+ s"))
    approver.get_by_role("button", name="Undo my approval").click()
    expect(approver.locator("#heading")).to_contain_text("proposed")
    expect(approver.locator("#decision")).to_contain_text(f"{given} of ")
    approve_on(approver, "demand is real")
    expect(approver.locator("#heading")).to_contain_text(
        re.compile("verifying|settled", re.IGNORECASE), timeout=180_000
    )
    expect(approver.locator("#timeline")).not_to_contain_text("waiting")
    # The tier counts of a page that nobody touched have followed.
    expect(section).to_contain_text(f"{after} of {after}", timeout=90_000)
    expect(approver.locator("#heading")).to_contain_text(
        re.compile("settled", re.IGNORECASE), timeout=180_000
    )
    for move in plan["document"]["moves"]:
        if move["kind"] == "node":
            assert tier_on_the_node(demo, move["target"]) == move["to_tier"]


def approvals_before_the_last(demo: Demo, plan: dict) -> int:
    """Which plan a cycle proposes is the fleet's affair: where it wants two, the admin is first."""
    needed = demo.json("plans", "show", plan["id"])["quorum"]["needed"]
    for _ in range(needed - 1):
        demo.manage("plans", "approve", plan["id"], "--as", "admin", "--reason", "one of two")
    return needed - 1


def approve_on(page: Page, reason: str) -> None:
    page.get_by_label(re.compile("Reason")).first.fill(reason)
    page.get_by_role("button", name="Approve").click()


def test_a_settled_plan_is_taken_back_after_its_preview(demo, sign_in):
    plan = wait_for("a plan that was carried out", lambda: node_plan(demo, state="settled"))
    operator = sign_in("operator")
    operator.goto(f"{demo.url}/plans/{plan['id']}/")
    operator.get_by_role("link", name="Preview the rollback").click()
    rows = operator.locator("#way-back tbody")
    moved = [move for move in plan["document"]["moves"] if move["kind"] == "node"]
    for move in moved:  # a worker with the cluster's rights looks, and the page follows
        expect(rows).to_contain_text(move["target"]["name"], timeout=60_000)
    operator.get_by_label(re.compile("Reason")).fill("it was only a try")
    operator.get_by_role("button", name="Roll back").click()
    expect(operator.locator("#heading")).to_contain_text("rolled back", timeout=180_000)
    for move in moved:
        assert tier_on_the_node(demo, move["target"]) == move["from_tier"]


# Beside what the pages' navigation leads to.
MORE_PAGES = (
    "/plans/?show=all",
    "/plans/envelopes/",
    "/plans/freezes/",
    "/plans/track-record/",
    "/sources/new/",
)
PHONE = {"width": 390, "height": 844}
WIDER = """() => [document.documentElement.scrollWidth, innerWidth,
  [...document.querySelectorAll("details .pop")].map(pop => {
    pop.parentElement.open = true;
    const box = pop.getBoundingClientRect();
    pop.parentElement.open = false;
    return box.left < 0 || box.right > innerWidth;
  }).some(out => out)]"""


def test_no_page_is_wider_than_a_phone(demo, sign_in):
    """The body never scrolls sideways: what is wide scrolls within its box."""
    page = sign_in("admin")
    page.set_viewport_size(PHONE)
    waiting, seen, wide = ["/", *MORE_PAGES], set(), {}
    while waiting:
        path = waiting.pop(0)
        seen.add(path.partition("?")[0])
        page.goto(demo.url + path)
        page.wait_for_load_state("networkidle")
        width, window, pops_out = page.evaluate(WIDER)
        if width > window or pops_out:
            wide[path] = (width, window, pops_out)
        links = page.eval_on_selector_all("nav a[href], header a[href]", HREFS)
        plans = [a for a in page.eval_on_selector_all("a[href]", HREFS) if PLAN.match(a)][:1]
        plans += [PLAN.match(plan)[0] + "way-back/" for plan in plans]
        fresh = {a.partition("?")[0]: a for a in (*links, *plans) if a.startswith("/")}
        waiting += [a for name, a in fresh.items() if name not in {*seen, *waiting}]
    assert wide == {}
    assert {"/", "/plans/", "/tiers/ledger/", "/tiers/prices/", "/regions/", "/sources/"} <= seen


def promised_gpus(plan: dict) -> list[tuple[str, int]]:
    """(tier, GPUs) that the plan leaves behind."""
    found = [p for p in plan["document"]["promises"] if p["query"] == "tier_gpus"]
    return [(p["labels"]["tier"], int(p["bound"])) for p in found]


def tier_on_the_node(demo: Demo, target: dict) -> str:
    """The tier label as the cluster itself has it."""
    path = str(demo.state_dir / "twin" / "kubeconfig-viewer")
    with new_client_from_config(config_file=path, context=target["cluster"]) as client:
        node = CoreV1Api(client).read_node(target["name"], _request_timeout=10)
    return node.metadata.labels["infra-console.dev/tier"]


def cycles_done(demo: Demo, by: str) -> int:
    sql = "SELECT count(*) FROM tiers_cycle WHERE state = 'done' AND requested_by = %s"
    return demo.query(sql, by)[0][0]


def steps_done(demo: Demo, plan_id: str) -> int:
    sql = "SELECT count(*) FROM plans_step WHERE plan_id = %s AND state = 'done'"
    return demo.query(sql, plan_id)[0][0]


def state_of(demo: Demo, plan_id: str) -> str:
    return demo.query("SELECT state FROM plans_plan WHERE id = %s", plan_id)[0][0]


def test_a_killed_worker_does_not_stop_a_plan_nor_repeat_it(demo: Demo):
    def another_plan() -> dict | None:
        demo.manage("loop", "--once")
        return node_plan(demo)

    plan = wait_for("a second plan that moves a node", another_plan, seconds=300)
    approvals_before_the_last(demo, plan)
    workers = demo.worker_pids("execute")
    demo.manage("plans", "approve", plan["id"], "--as", "approver", "--reason", "kill test")
    wait_for("the first step to be done", lambda: steps_done(demo, plan["id"]), every_s=0.05)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert steps_done(demo, plan["id"]) < len(plan["document"]["steps"])
    ended = {"verifying", "settled", "verified"}
    wait_for(
        "the plan to finish all the same",
        lambda: state_of(demo, plan["id"]) in ended,
        seconds=180,
    )
    shown = demo.json("plans", "show", plan["id"])
    assert {step["state"] for step in shown["steps"]} <= {"done", "skipped"}
    assert [t["to"] for t in shown["transitions"]].count("executing") == 1
