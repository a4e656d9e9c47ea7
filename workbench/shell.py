"""The page as a whole: sticky bar, tabs, and the address that restores a selection."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from analysis.errors import UserError
from analysis.plotly_js import PLOTLY_JS
from workbench.captures import BUNDLED, OpenCapture, bundled_capture
from workbench.components import notice, selection_bar
from workbench.examples import find_any
from workbench.figures.heatmap import block_of
from workbench.page import NothingToDo, Page, Settings, Told, Updates, View, hear, sent
from workbench.recipe import overrides_text, read_overrides
from workbench.selection import TABS, first_selection, from_query, to_query
from workbench.session import Session, SessionStore
from workbench.views.calibration import Calibration
from workbench.views.cell import says
from workbench.views.compare import Compare
from workbench.views.explore import Explore
from workbench.views.guide import Guide
from workbench.views.opening import Opening
from workbench.views.over_time import OverTime
from workbench.views.quantize import Quantize
from workbench.views.shortcuts import Shortcuts
from workbench.views.sweep import Sweep
from workbench.views.taking import Taking

STYLE = Path(__file__).parents[1] / "assets" / "css" / "workbench.css"
APPEARING = 5.0  # seconds in which a page may report its first tab
LAYER_BITS = "layer_bits"  # in the address: layers with bits of their own
TITLE = "Diffusion quantization workbench"


def build_page(settings: Settings) -> gr.Blocks:
    """The whole page; `UserError` if the bundled capture cannot be read."""
    bundled_capture()
    gr.set_static_paths([PLOTLY_JS])
    store = SessionStore(lambda key: _new_session(key, settings))
    views = [Explore(), OverTime(), Shortcuts(), Calibration(), Quantize(), Compare(), Sweep()]
    page = Page(settings, store, views)
    page.bar_value = bar_value
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as blocks:
        panels = _lay_out(page)
        _fill_at_once(page)
        _wire(page, blocks)
        for panel in panels:
            panel.wire(page)
    return blocks


def theme() -> gr.Theme:
    """Fonts of the visitor's own system: nothing is fetched from anywhere."""
    sans, mono = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
    made = gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=sans, font_mono=mono)
    # One shade darker than Gradio's own: words have a contrast above 4.5 on what is behind them.
    return made.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


def _new_session(key: str, settings: Settings) -> Session:
    opened = bundled_capture()
    return Session(key, opened, first_selection(opened), model_name=settings.model)


def _lay_out(page: Page) -> list[Opening | Guide | Taking]:
    gr.HTML(
        f"<h1>{TITLE}</h1><p>See why quantizing a diffusion model is hard, and fix it.</p>",
        elem_id="title",
    )
    page.bar = selection_bar(elem_id="bar")
    page.notice = notice(elem_id="notice")
    guide, opening, taking = Guide(), Opening(), Taking()
    guide.build(page)
    opening.build(page)
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as page.tabs:
        for view in page.views:
            with gr.Tab(view.title, id=view.name) as view.tab:
                view.build(page)
    taking.build(page)
    return [opening, guide, taking]


def _fill_at_once(page: Page) -> None:
    """Put the first view into the page itself: it is drawn before any event runs."""
    session = _new_session("", page.settings)
    painted = page.paint(session, whole=True)
    painted[page.bar]["query"] = None  # the address is read before it is written
    for component, value in sent(painted).items():
        component.value = component.postprocess(value)


def _wire(page: Page, blocks: gr.Blocks) -> None:
    for view in page.views:
        view.wire(page)
        open_tab = partial(_open_tab, name=view.name)
        page.on(view.tab.select, open_tab, [], [*view.detail, *view.rest])
        # The bar fires an event of the open tab's name: only that tab's parts are repainted.
        page.on_part(page.bar, view.name, _choose, view.detail)
    outputs = [page.tabs, *page.outputs]

    def restore(request: gr.Request) -> Updates:
        with page.session_of(request) as session:
            return restored(page, session, dict(request.query_params))

    def leave(request: gr.Request) -> None:
        page.jobs.cancel(str(request.session_hash))
        page.store.drop(str(request.session_hash))

    def revisit(request: gr.Request, told: Told) -> Updates:
        address, number = told[-1]
        query = dict(parse_qsl(str(address or "")[1:]))
        with page.session_of(request) as session:
            return restored(page, session, query, number)

    blocks.load(restore, None, outputs, queue=False, show_progress="hidden")
    hear(page.bar, "address", revisit, outputs)
    blocks.unload(leave)


def restored(
    page: Page, session: Session, query: Mapping[str, str], answer: int | None = None
) -> Updates:
    """What an address asks for; what makes no sense in it is passed over, and said."""
    problems = []
    try:
        wanted = query.get("capture", BUNDLED)
        if wanted != session.opened.key:
            session.opened = find_any(wanted, page.settings.runs)
    except UserError as error:
        problems.append(str(error))
    session.selection, nonsense = from_query(query, session.opened)
    try:
        session.overrides = read_overrides(query.get(LAYER_BITS, ""), session.opened.names)
    except ValueError:
        session.overrides = {}
        nonsense.append(LAYER_BITS)
    if nonsense:
        named = ", ".join(nonsense)
        problems.append(f"The link's {named} could not be used with this capture: passed over.")
    session.shown.clear()
    try:
        painted = page.paint(session, whole=True)
    except UserError as error:  # its filters leave no layer
        problems.append(str(error))
        session.selection = replace(session.selection, find="", kind="all")
        painted = page.paint(session, whole=True)
    painted[page.bar]["answer"] = answer
    said = {"kind": "error", "text": " ".join(problems)} if problems else None
    tab = gr.Tabs(selected=session.selection.tab)
    return sent({**painted, page.notice: said, page.tabs: tab})


def _open_tab(session: Session, name: str) -> None:
    # Gradio also reports the first tab while the page appears, before or after the address is
    # read; taken for a click it would undo what the address asks for.
    appearing = name == TABS[0] and time.monotonic() - session.born < APPEARING
    if appearing and not session.drawn.get("appeared"):
        session.drawn["appeared"] = True
        raise NothingToDo
    session.selection = replace(session.selection, tab=name)


def _choose(session: Session, value: Any, index: Any) -> None:
    wanted = value if isinstance(value, dict) else {}
    layer, step = wanted.get("layer"), wanted.get("step")
    if layer in session.opened.names:
        session.selection = replace(session.selection, layer=layer)
    if isinstance(step, int) and 0 <= step < session.opened.steps:
        session.selection = replace(session.selection, step=step)


def bar_value(session: Session, whole: bool) -> dict[str, Any]:
    """What the sticky bar shows; with `whole`, also the layers to choose from."""
    session.turn += 1  # before anything is read: a later turn never shows an older selection
    turn, selection, opened = session.turn, session.selection, session.opened
    value = {
        "turn": turn,
        "model": opened.capture.model,
        "capture": opened.label,
        "layer": selection.layer,
        "step": selection.step,
        "plan": selection.plan,
        "tab": selection.tab,
        "query": address_of(session),
        "says": says(opened, selection),
    }
    return {**value, **_choices(opened)} if whole else value


def address_of(session: Session) -> str:
    """All that a copied link restores: the selection, and the layers with bits of their own."""
    query = to_query(session.selection, session.opened)
    alone = overrides_text(session.overrides, session.opened.names)
    return f"{query}&{urlencode({LAYER_BITS: alone})}" if alone else query


def _choices(opened: OpenCapture) -> dict[str, Any]:
    return {
        "layers": [
            {"name": x.name, "block": block_of(x.name), "kind": x.kind} for x in opened.layers
        ],
        "timesteps": opened.capture.timesteps.tolist(),
    }


__all__ = ["STYLE", "TITLE", "View", "bar_value", "build_page", "restored", "theme"]
