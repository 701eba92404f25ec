"""How the pages are built: `make docs` writes them to build/docs, to be opened from disk or put on any server."""

import inspect
import os
import typing
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

# Modules are imported to be read, which loads JAX; it needs no accelerator for that.
os.environ["JAX_PLATFORMS"] = "cpu"
# jaxtyping then writes its types as we do: Float[Array, 'B T'].
typing.GENERATING_DOCUMENTATION = "jax_encoder"  # type: ignore[attr-defined]

project = "jax-encoder"
version = release = metadata.version("jax-encoder")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
templates_path = ["templates"]
exclude_patterns = ["templates"]
default_role = "code"  # what stands in backticks in a docstring
highlight_language = "text"

html_theme = "pydata_sphinx_theme"
html_title = "jax-encoder"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "footer_start": [], "footer_end": []}
html_sidebars = {"index": []}

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

# What lies beside docs/, and the page that shows it.
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "DECISIONS.md": "decisions.md",
    "CHANGELOG.md": "changes.md",
    "LICENSE": "licence.md",
    "examples/": "examples.md",
}


def _read_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts the README on the first page, and turns links that lead out of docs/ to the pages that show the same."""
    if docname == "index":
        source[0] = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8") + source[0]
        source[0] = source[0].replace("](docs/", "](")
    for path, page in _PAGES.items():
        source[0] = source[0].replace(f"](../{path})", f"]({page})").replace(f"]({path})", f"]({page})")


def _is_undescribed_field(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out a named tuple's fields, which its signature lists: Python describes them by their number."""
    return True if (inspect.getdoc(member) or "").startswith("Alias for field number") else None


def _own_signature(
    app: Sphinx, what: str, name: str, member: Any, options: Any, given: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Gives a Flax module the arguments of its own constructor; its metaclass takes any."""
    if what != "class" or "**kwargs" not in (given or "") or "__init__" not in vars(member):
        return given, returns
    return stringify_signature(signature(member.__init__, bound_method=True), unqualified_typehints=True), None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read_page)
    app.connect("autodoc-skip-member", _is_undescribed_field)
    app.connect("autodoc-process-signature", _own_signature)
