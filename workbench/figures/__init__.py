"""Records in, plotly figures out. Nothing here imports gradio or torch.

A figure is a plain dictionary, {"data": [...], "layout": {...}}: what plotly's own objects turn
into, without the time they take.
"""
