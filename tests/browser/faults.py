"""What is wrong with a page that is open in Chromium, at both sizes and in both colours."""

from collections.abc import Iterator

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

#: Both sizes and both colours; the other two pairs are walked in test_walks.
LOOKS = ((320, 640, "dark"), (1280, 900, "light"))
#: WCAG 2.2 AA asks for targets of 24 pixels, which axe does not look at unless told to.
OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}, "preload": False}
#: Of Django's own pages what WCAG asks, without axe's further advice.
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
SMALLEST_TARGET = 44  # pixels, on our own pages: a finger on a cheap screen
SHORTEST_PAGE = 20  # characters
SETTLED = "() => Promise.all(document.getAnimations().map(each => each.finished)).then(() => null)"
TOO_SMALL = """size => [...document.querySelectorAll(
    "a[href], button, summary, input:not([type=hidden]), select, textarea"
)].filter(each => {
    if (!each.checkVisibility() || each.closest(".visually-hidden, .skip")) return false;
    // A link in the middle of a sentence is as high as its line.
    const isInText = getComputedStyle(each).display === "inline"
        && each.parentElement.innerText.trim() !== each.innerText.trim();
    // A line can be pressed as a whole, and so can the words of a box to tick.
    const whole = getComputedStyle(each, "::after").position === "absolute"
        ? each.closest(".line, .result, .vital, tr") : each.closest("label");
    return !isInText && (whole || each).getBoundingClientRect().height < size - 0.5;
}).map(each => each.outerHTML.slice(0, 150))"""


def faults(page: Page, *, is_ours: bool = True) -> Iterator[str]:
    """What axe finds, what is wider than the screen, too small to press, or a page that says nothing."""
    page.evaluate(Axe().axe_script)
    for width, height, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.evaluate(SETTLED)  # colours that are on their way have no contrast yet
        where = f"{width} px, {scheme}"
        found = page.evaluate("options => axe.run(options)", OPTIONS if is_ours else OPTIONS | WCAG)["violations"]
        yield from (f"{where}: {each['id']}: {each['nodes'][0]['html'][:200]}" for each in found)
        if (is_wide := page.evaluate("document.documentElement.scrollWidth")) > width:
            yield f"{where}: {is_wide} px wide"
        if is_ours and width < 600:  # a mouse hits what a finger misses
            yield from (f"{where}: too small to press: {each}" for each in page.evaluate(TOO_SMALL, SMALLEST_TARGET))
    if len(page.locator("main").inner_text().strip()) < SHORTEST_PAGE:
        yield "says nothing"
