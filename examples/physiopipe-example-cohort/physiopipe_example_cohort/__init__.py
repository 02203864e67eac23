"""An example of a cohort for physiopipe in a package of its own."""
