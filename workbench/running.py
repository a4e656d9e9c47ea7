"""A button that starts long work, its progress, and the Cancel beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from analysis.errors import UserError
from workbench.components import Part, progress
from workbench.jobs import Job, Work
from workbench.page import Page, Updates, sent
from workbench.session import Session

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
    """Start and Cancel side by side, with the progress of what was started below."""

    def __init__(self, name: str, start: str, elem_id: str) -> None:
        self.name = name
        with gr.Row(elem_classes="wb-run"):
            self.start = gr.Button(start, variant="primary", elem_id=elem_id, min_width=120)
            self.cancel = gr.Button(
                "Cancel", interactive=False, elem_id=f"{elem_id}-cancel", min_width=90
            )
        self.progress: Part = progress(elem_id=f"{elem_id}-progress")

    @property
    def outputs(self) -> list[Any]:
        """What changes while the work runs."""
        return [self.start, self.cancel, self.progress]

    def wire(
        self,
        page: Page,
        prepare: Prepare,
        inputs: Sequence[Any],
        also: Sequence[Any] = (),
        painted: Callable[[Session], Updates] = lambda session: {},
        live: Live | None = None,
    ) -> None:
        """Start runs what `prepare` returns, in turn with all visitors' work.

        `painted` fills the components `also`, which are on no tab, when the work has ended;
        `live` is asked once a second what else shall change while it runs.
        """

        async def run(request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
            session = page.store.get(str(request.session_hash))
            try:
                work = prepare(session, *values)
                job = page.jobs.submit(Job(session.key, self.name, work))
            except UserError as error:
                yield sent({page.notice: {"kind": "error", "text": str(error)}})
                return
            try:
                asked = partial(live, session) if live else None
                async for update in self._follow(page, job, asked):
                    yield sent(update)
            finally:
                if not job.over:
                    page.jobs.cancel(session.key)
            everything = {**page.paint(session, whole=True), **painted(session)}
            yield sent({**everything, **self._ended(page, job)})

        # The page's own queue decides whose turn it is and can say so; Gradio's must not wait.
        self.start.click(run, list(inputs), [*page.outputs, *self.outputs, *also], **_LONG)
        self.cancel.click(_cancel(page), queue=False, show_progress="hidden")

    async def _follow(
        self, page: Page, job: Job, live: Callable[[], Updates] | None
    ) -> AsyncIterator[Updates]:
        shown, asked = None, time.monotonic()
        while not job.over:
            now = job.shown(page.jobs.place(job))
            more = {}
            if live is not None and time.monotonic() - asked > ASK:
                more, asked = live(), time.monotonic()
            if now != shown or more:
                shown = now
                yield {
                    self.progress: now,
                    self.start: gr.Button(interactive=False),
                    self.cancel: gr.Button(interactive=True),
                    page.notice: None,
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
