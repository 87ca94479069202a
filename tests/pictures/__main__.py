"""`./run screenshots`: pictures of every page of the demo, in Chromium.

Whole pages go to var/screenshots/pages/, to be looked at; the first screenful of those that docs show to
docs/screenshots/. A demo of its own is started for it, in var/screenshots/demo, on a free port. Words choose pictures:
`./run screenshots trend share`.
"""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.parts import PARTS, ROOT
from tests.pictures.looks import Look
from tests.pictures.pages import PICTURES, Picture, Stage

WHOLE, KEPT = ROOT / "var" / "screenshots" / "pages", ROOT / "docs" / "screenshots"
DEMO_TIMEOUT = 240.0  # seconds until the demo is ready
SCALE = 2  # a phone's screen; the desktop is kept at its CSS size


def main(words: Sequence[str]) -> int:
    """Exit status 1 when a page answered otherwise than expected or its console complained."""
    wanted = [each for each in PICTURES if not words or any(word in each.name for word in words)]
    WHOLE.mkdir(parents=True, exist_ok=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    chromium = PARTS["chromium"].find()
    if chromium is None:
        sys.stderr.write(f"screenshots: Chromium is missing: {PARTS['chromium'].remedy}\n")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the demo ends with us
    with demo() as said, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        complaints = take_all(browser, said, wanted)
        browser.close()
    sys.stderr.writelines(f"screenshots: {each}\n" for each in complaints)
    return 1 if complaints else 0


@contextlib.contextmanager
def demo() -> Iterator[dict[str, Any]]:
    """What var/demo-logins.json of a demo of our own says; `DEMO_LOGINS` names the file of one that runs already."""
    if running := os.environ.get("DEMO_LOGINS"):
        yield json.loads(Path(running).read_text())
        return
    var = ROOT / "var" / "screenshots" / "demo"
    var.mkdir(parents=True, exist_ok=True)
    logins = var / "demo-logins.json"
    logins.unlink(missing_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.openmrs.demo"],
        cwd=ROOT,
        env=os.environ | {"VAR_DIR": str(var), "PORT": str(port)},
        stdout=sys.stderr,
    )
    try:
        wait_for(logins, process)
        yield json.loads(logins.read_text())
    finally:
        process.terminate()
        process.wait()


def wait_for(logins: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEMO_TIMEOUT
    while not logins.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("screenshots: the demo did not start; what it says stands above")
        time.sleep(0.5)


def take_all(browser: Browser, said: dict[str, Any], wanted: Sequence[Picture]) -> list[str]:
    """What went wrong, a line each."""
    patients = [login for login in said["logins"] if login["role"] == "patient"]
    logins = {login["role"]: login for login in said["logins"]} | {"patient": patients[0]}
    stage = Stage(national_id=patients[0]["national_id"], doctor=logins["doctor"]["username"])
    contexts = {who: enter(browser, said["url"], logins.get(who)) for who in {each.who for each in wanted}}
    complaints: list[str] = []
    for picture in wanted:
        try:
            complaints += take(contexts[picture.who], picture, stage)
        except Exception as error:  # noqa: BLE001  one page that fails must not cost the others
            complaints.append(f"{picture.name}: {str(error).splitlines()[0]}")
    return complaints


def enter(browser: Browser, url: str, login: dict[str, Any] | None) -> BrowserContext:
    """Logged in where there is a login."""
    context = browser.new_context(base_url=url, device_scale_factor=SCALE, locale="en-GB")
    context.set_default_timeout(15_000)
    if login:
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Username or National ID").fill(login["username"])
        page.get_by_label("Password").fill(login["password"])
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
        page.close()
    return context


def take(context: BrowserContext, picture: Picture, stage: Stage) -> list[str]:
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(f"{picture.name}: {said.text}"))
    page.set_viewport_size({"width": 1280, "height": 900})
    answer = page.goto(picture.address)
    if not answer or answer.status != picture.status:
        complaints.append(f"{picture.name}: {answer and answer.status}, not {picture.status}")
    if picture.steps:
        picture.steps(page, stage)
        page.wait_for_load_state()
    for look in picture.looks:
        shoot(page, picture, look)
    page.close()
    # A refusal is a page with a status, which Chromium reports as a resource that failed.
    return [each for each in complaints if "the server responded with a status of 4" not in each]


def shoot(page: Page, picture: Picture, look: Look) -> None:
    page.set_viewport_size({"width": look.width, "height": look.height})
    page.emulate_media(color_scheme="dark" if look.scheme == "dark" else "light")
    page.mouse.move(0, 0)
    page.evaluate("window.scrollTo(0, 0); document.activeElement && document.activeElement.blur()")
    save(page.screenshot(full_page=True, scale="css"), WHOLE / f"{picture.name}-{look.name}.png")
    if look in picture.kept:
        scale: Literal["css", "device"] = "device" if look.width < 600 else "css"
        if picture.top and look.width < 600:
            page.locator(picture.top).first.evaluate(
                "each => window.scrollTo(0, each.getBoundingClientRect().top - 12)"
            )
        save(page.screenshot(scale=scale), KEPT / f"{picture.name}-{look.name}.webp")


def save(shot: bytes, path: Path) -> None:
    """Few colours are enough for text on plain ground; WebP keeps the edges of letters at a third of PNG's size."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    if path.suffix == ".webp":
        picture.save(path, quality=82, method=6)
    else:
        picture.save(path, optimize=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
