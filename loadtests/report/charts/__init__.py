"""Charts, drawn with matplotlib as SVG."""
