"""What is left of a template's text when its indentation is not sent."""

from passport.template_files import unindented


def test_the_beginnings_of_lines_go_and_spaces_between_words_stay() -> None:
    assert unindented("<p>\n    a  b\n\t<b>c</b> {{ d }}\n</p>") == "<p>\na  b\n<b>c</b> {{ d }}\n</p>"


def test_what_translators_see_stays_as_it_is() -> None:
    text = "{% blocktranslate count n=n %}\n    one\n  {% plural %}\n  {{ n }}{% endblocktranslate %} <a>"
    assert unindented(f"  <p>\n  {text}\n  </p>") == f"  <p>\n{text}\n</p>"


def test_what_is_shown_with_its_spaces_keeps_them() -> None:
    for name in ("pre", "textarea", "script"):
        text = f"<{name} class='x'>\n    a\n  b</{name}>"
        assert unindented(text) == text
