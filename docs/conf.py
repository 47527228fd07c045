"""The site: `make docs` builds these pages into site/ with Sphinx; nothing needs a network.

The pages are written for GitHub as well. What differs here: the README is the front page, links to
a page of the repository's root go to its copy on the site, and mathematics becomes MathML, which
browsers draw by themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import unyoke

sys.path.insert(0, str(Path(__file__).parent))  # for site_pages

project = "unyoke"
author = "The unyoke developers"
copyright = "2026, the unyoke developers"
version = release = unyoke.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "site_pages",
]
html_theme = "furo"
html_title = f"unyoke {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_show_sphinx = False

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
myst_heading_slug_func = "site_pages.anchor"  # GitHub's, which links between pages name
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
pygments_style = "tango"
pygments_dark_style = "monokai"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what the arguments are
napoleon_numpy_docstring = False
