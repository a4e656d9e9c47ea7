"""A page is built without servers that nobody asks, and launched with one that answers."""

from __future__ import annotations

from urllib.request import urlopen

import gradio as gr
import pytest
from gradio.routes import App

from workbench.one_app import one_app


def test_a_page_built_without_servers_is_served_by_launch():
    with one_app():
        with gr.Blocks(analytics_enabled=False) as blocks:
            gr.Markdown("A page")
        assert blocks.app is None
    _, address, _ = blocks.launch(quiet=True, share=False, ssr_mode=False, prevent_thread_lock=True)
    try:
        assert isinstance(blocks.app, App)
        assert "A page" in urlopen(f"{address}config").read().decode()
    finally:
        blocks.close()


def test_a_page_that_cannot_be_built_leaves_gradio_as_it_was():
    with pytest.raises(ValueError, match="no page"), one_app():
        raise ValueError("no page")
    with gr.Blocks(analytics_enabled=False) as blocks:
        pass
    assert isinstance(blocks.app, App)
