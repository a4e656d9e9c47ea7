"""Two pictures, one of them float: which? Nothing sent to the page says so before the answer.

The value is {number, question, a, b, last, score}; `a` and `b` are PNG data addresses, or null when
there are no more questions. Fires `answer` with the question's number as its index and "a" or "b",
and `again`.
"""

from __future__ import annotations

from workbench.components.part import part

quiz = part(
    """
<div class="wb-quiz" hidden>
  <p class="wb-quiz-question" role="status"></p>
  <div class="wb-figures">
    <figure><img alt="Picture A"><button type="button">A is float</button></figure>
    <figure><img alt="Picture B"><button type="button">B is float</button></figure>
  </div>
  <p class="wb-quiz-last" role="status"></p>
  <p class="wb-quiz-score"></p>
  <button type="button" class="wb-quiz-again">Start again</button>
</div>""",
    "quiz.js",
)
