"""The documentation site: `make docs` builds it strictly into docs/_build, where every warning is an error."""

from importlib.metadata import version as version_of

project = "physiopipe"
copyright = "the physiopipe developers"  # noqa: A001 (Sphinx's name)
version = release = version_of("physiopipe")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}

default_role = "code"  # what stands in single backticks in a docstring

html_theme = "furo"
html_title = "physiopipe"
html_copy_source = False
