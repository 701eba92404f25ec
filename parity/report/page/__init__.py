"""The pieces of the HTML report: markup, charts in plain SVG, and the sections in the order that a person asks."""
