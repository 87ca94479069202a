"""In which sizes and colours a page is looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Size in CSS pixels, and the colours that the machine asks for."""

    name: str
    width: int
    height: int
    scheme: str = "light"


PHONE = Look(name="phone", width=360, height=780)
DARK = Look(name="phone-dark", width=360, height=780, scheme="dark")
DESKTOP = Look(name="desktop", width=1280, height=860)
