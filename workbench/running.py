"""A button that starts long work, its progress, and the Cancel beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr

from analysis.errors import UserError
from workbench.components import Part, progress
from workbench.cost import Foretell, careful, cost_of, looking
from workbench.jobs import Job, Work
from workbench.page import Page, Updates, sent, wrong
from workbench.session import Session

ESTIMATING = "Estimating"
LOOK = 0.2  # seconds between looks at a running job
ASK = 1.0  # seconds between drawings of what it has found so far
Prepare = Callable[..., Work]  # (session, *values) -> work; `UserError` for bad values
Live = Callable[[Session], Updates]
_LONG: dict[str, Any] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}


class Runner:
    """Start and Cancel side by side, with the progress of what was started below.

    With `foretells` a third button says what the work would cost.
    """

    def __init__(self, name: str, start: str, elem_id: str, foretells: bool = False) -> None:
        self.name = name
        with gr.Row(elem_classes="wb-run"):
            self.start = gr.Button(start, variant="primary", elem_id=elem_id, min_width=120)
            self.cancel = gr.Button(
                "Cancel", interactive=False, elem_id=f"{elem_id}-cancel", min_width=90
            )
        self.ask = self.cost = None
        if foretells:
            with gr.Row(elem_classes="wb-cost"):
                self.ask = gr.Button(
                    "How long?", size="sm", scale=0, min_width=90, elem_id=f"{elem_id}-ask"
                )
                self.cost = gr.Markdown("", elem_id=f"{elem_id}-cost")
        self.progress: Part = progress(elem_id=f"{elem_id}-progress")

    @property
    def outputs(self) -> list[Any]:
        """What changes while the work runs."""
        asked = [self.ask, self.cost] if self.ask else []
        return [self.start, self.cancel, self.progress, *asked]

    def wire(
        self,
        page: Page,
        prepare: Prepare,
        inputs: Sequence[Any],
        also: Sequence[Any] = (),
        painted: Callable[[Session], Updates] = lambda session: {},
        live: Live | None = None,
        foretell: Foretell | None = None,
        stale: Sequence[Any] = (),
    ) -> None:
        """Start runs what `prepare` returns, in turn with all visitors' work.

        `painted` fills the components `also`, which are on no tab, when the work has ended;
        `live` is asked once a second what else shall change while it runs. `foretell` finds what
        the work will cost, before it and on its own button; the events `stale` make it forgotten.
        """

        def running(alone: bool) -> Callable[..., AsyncIterator[Updates]]:
            async def run(request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
                session = page.store.get(str(request.session_hash))
                try:
                    work = self._work(session, prepare, foretell, values, alone)
                    name = ESTIMATING if alone else self.name
                    job = page.jobs.submit(Job(session.key, name, work))
                except UserError as error:
                    yield sent({page.notice: wrong(error)})
                    return
                try:
                    async for update in self._follow(page, job, session, live):
                        yield sent(update)
                finally:
                    if not job.over:
                        page.jobs.cancel(session.key)
                with session.lock:
                    everything = {**page.paint(session, whole=True), **painted(session)}
                ended = {**everything, **self._ended(page, job), **self._cost(session, job)}
                if alone and job.state == "done":
                    ended[self.progress] = None  # the answer says enough
                yield sent(ended)

            return run

        # The page's own queue decides whose turn it is and can say so; Gradio's must not wait.
        outputs = [*page.outputs, *self.outputs, *also]
        self.start.click(running(alone=False), list(inputs), outputs, **_LONG)
        if self.ask is not None:
            self.ask.click(running(alone=True), list(inputs), outputs, **_LONG)
        for event in stale:
            event(None, None, [self.cost], js="() => ''", queue=False, show_progress="hidden")
        self.cancel.click(_cancel(page), queue=False, show_progress="hidden")

    def _work(
        self,
        session: Session,
        prepare: Prepare,
        foretell: Foretell | None,
        values: Sequence[Any],
        alone: bool,
    ) -> Work:
        """What a press of Start does, or with `alone` one of the button that asks for the cost."""
        work = prepare(session, *values)
        if foretell is None:
            return work
        measure = foretell(session, *values)
        if alone:
            return looking(session, self.name, measure)
        return careful(session, self.name, measure, work)

    def _cost(self, session: Session, job: Job) -> Updates:
        if self.ask is None:
            return {}
        return {self.cost: cost_of(session, self.name), self.ask: gr.Button(interactive=job.over)}

    async def _follow(
        self, page: Page, job: Job, session: Session, live: Live | None
    ) -> AsyncIterator[Updates]:
        shown, asked = None, time.monotonic()
        while not job.over:
            now = job.shown(page.jobs.place(job))
            more = {}
            if live is not None and time.monotonic() - asked > ASK:
                more, asked = live(session), time.monotonic()
            if now != shown or more:
                shown = now
                yield {
                    self.progress: now,
                    self.start: gr.Button(interactive=False),
                    self.cancel: gr.Button(interactive=True),
                    page.notice: None,
                    **self._cost(session, job),
                    **more,
                }
            await asyncio.sleep(LOOK)

    def _ended(self, page: Page, job: Job) -> Updates:
        failed = {"kind": "error", "text": job.error} if job.state == "failed" else None
        return {
            self.progress: job.shown(),
            self.start: gr.Button(interactive=True),
            self.cancel: gr.Button(interactive=False),
            page.notice: failed,
        }


def _cancel(page: Page) -> Callable[[gr.Request], None]:
    def cancel(request: gr.Request) -> None:
        page.jobs.cancel(str(request.session_hash))

    return cancel


def model_of(session: Session, models: dict[str, Any]) -> Any:
    """The session's model, or the one that the open example was taken of."""
    return loaded(getattr(session.opened, "model_name", session.model_name), models)


def loaded(name: str, models: dict[str, Any]) -> Any:
    """A model by its name, loaded when it is first needed; the last two stay in memory."""
    from analysis.models.load import load_model

    model = models.get(name)
    if model is None:
        while len(models) >= 2:
            models.pop(next(iter(models)))
        model = models[name] = load_model(name)
    return model
