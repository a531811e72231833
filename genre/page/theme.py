"""Colours and type of the page: Gradio's Soft theme, darkened where its greys and blues are too pale to read (AA)."""

import gradio as gr

THEME = gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_label_text_color="*primary_700",
    block_label_text_color_dark="*primary_100",
    block_title_text_color="*primary_700",
    block_title_text_color_dark="*primary_100",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_hover_dark="*primary_700",
    color_accent="*primary_600",
)
