"""Lessons and glossary beside the page: a column on wide screens, a sheet below on narrow ones.

The value is {lessons: [{name, title, about, minutes}], step} with `step` = {lesson, heading, index,
count, title, text, look, at} or `None`. Fires `select` with {lesson, step} for a step that is
asked for, and with {lesson: null} when a lesson ends. The part of the page whose `elem_id` is `at`
is framed and scrolled into sight.
"""

from __future__ import annotations

from pathlib import Path

from workbench.components.part import part

GLOSSARY = Path(__file__).parents[1] / "lessons" / "glossary.html"

guide = part(
    f"""
<button type="button" class="wb-guide-open" aria-expanded="false">Lessons and glossary</button>
<aside class="wb-guide" aria-label="Lessons and glossary" hidden>
  <header>
    <button type="button" class="wb-guide-lessons" aria-pressed="true">Lessons</button>
    <button type="button" class="wb-guide-glossary" aria-pressed="false">Glossary</button>
    <button type="button" class="wb-guide-close" aria-label="Close lessons">&times;</button>
  </header>
  <section class="wb-guide-list">
    <p>Each lesson sets the controls of this page and says where to look. What you have selected
    comes back when the lesson ends.</p>
    <ul></ul>
  </section>
  <article class="wb-guide-step" hidden>
    <p class="wb-guide-heading"></p>
    <div aria-live="polite"><h3 aria-level="2"></h3><p class="wb-guide-text"></p>
      <p class="wb-guide-look"><b>Look:</b> <span></span></p></div>
    <nav><button type="button" class="wb-back">Back</button><button type="button"
      class="wb-next">Next</button><button type="button" class="wb-again">Set again</button><button
      type="button" class="wb-end">End lesson</button></nav>
  </article>
  <section class="wb-guide-words" hidden tabindex="0" aria-label="Glossary">
{GLOSSARY.read_text(encoding="utf-8")}
  </section>
</aside>""",
    "guide.js",
)
