"""An example of a method for physiopipe in a package of its own."""
