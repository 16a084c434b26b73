"""Markdown as GitHub shows it: rendered by GitHub's own parser, with the styles of a comment."""

from __future__ import annotations

import cmarkgfm
from cmarkgfm.cmark import Options

# Widths, fonts and colours of a comment on github.com, as far as tables and code need them.
STYLE = """
body { --ink: #1f2328; --paper: #fff; --border: #d1d9e0; --stripe: #f6f8fa; --code: #818b981f;
  margin: 16px; color: var(--ink); background: var(--paper); font-size: 14px; line-height: 1.5;
  font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }
@media (prefers-color-scheme: dark) { body { --ink: #f0f6fc; --paper: #0d1117;
  --border: #3d444d; --stripe: #151b23; --code: #656c7633; } }
main { max-width: 766px; border: 1px solid var(--border); border-radius: 6px; padding: 16px; }
h3 { font-size: 1.25em; line-height: 1.25; font-weight: 600; margin: 0 0 16px; }
p, ul { margin: 0 0 16px; } ul { padding-left: 2em; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; margin: 0 0 16px;
  border-spacing: 0; border-collapse: collapse; }
tr { background: var(--paper); border-top: 1px solid var(--border); }
tr:nth-child(2n) { background: var(--stripe); }
th, td { padding: 6px 13px; border: 1px solid var(--border); } th { font-weight: 600; }
code { padding: .2em .4em; font-size: 85%; white-space: break-spaces; border-radius: 6px;
  background: var(--code);
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
sub { font-size: 75%; line-height: 0; position: relative; vertical-align: baseline;
  bottom: -.25em; }
"""


def rendered(markdown: str) -> str:
    """The HTML of a comment, before GitHub takes forbidden elements out of it."""
    html: str = cmarkgfm.github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE)
    return html


def page_of(markdown: str) -> str:
    """A page with a comment on it."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Comment</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><main>{rendered(markdown)}</main></html>"
    )
